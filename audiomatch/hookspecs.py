"""The plugin seam: every hook that a plugin may implement.

A plugin is a module named by an entry point of the group `audiomatch`. It marks its functions with
`audiomatch.hookimpl` and must be light to import: no torch, no pandas.

Of pluggy's options `specname` and `optionalhook` work, and `tryfirst` and `trylast` order dataset
layouts and listeners; `wrapper` and `hookwrapper` are refused. A plugin whose hook raises, or gives
what it should not, is named by `audiomatch plugins`; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from audiomatch.datasets import DatasetInfo
    from audiomatch.matcher import MatcherInfo
    from audiomatch.probing.info import ProbeInfo
    from audiomatch.records import FoldResult, Leaderboard, ModelCard
    from audiomatch.running.executors import ExecutorInfo

PROJECT = "audiomatch"
# On PyPI "audiomatch" is another program.
DISTRIBUTION = "audiomatch-toolkit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


def hooks() -> dict[str, Callable[..., Any]]:
    """Return every hook that a plugin may implement, by name."""
    mark = f"{PROJECT}_spec"
    return {name: value for name, value in globals().items() if hasattr(value, mark)}


@hookspec
def audiomatch_matchers() -> Iterable[MatcherInfo]:  # type: ignore[empty-body]
    """Offer matchers. Called once, when the registry is first asked."""


@hookspec
def audiomatch_datasets() -> Iterable[DatasetInfo]:  # type: ignore[empty-body]
    """Offer dataset layouts. A path is given to the first layout that recognises it."""


@hookspec
def audiomatch_executors() -> Iterable[ExecutorInfo]:  # type: ignore[empty-body]
    """Offer executors: what runs the jobs of a comparison, as in `bench --executor NAME`."""


@hookspec
def audiomatch_probes() -> Iterable[ProbeInfo]:  # type: ignore[empty-body]
    """Offer probes: what `audiomatch probe` and `bench --probe` plant in matches."""


@hookspec
def audiomatch_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Offer commands, as in `audiomatch NAME`. None may have the name of one of audiomatch's own.

    Import what a command needs when it runs: `audiomatch --help` asks for every command.
    """


@hookspec
def audiomatch_fold_done(matcher: str, fold: int, result: FoldResult) -> None:
    """Hear of a finished, replayed or failed fold, with its predictions where it finished."""


@hookspec
def audiomatch_run_done(folder: Path, leaderboard: Leaderboard) -> None:
    """Hear of a finished run: its folder, in which every file is written, and its leaderboard."""


@hookspec
def audiomatch_fit_done(folder: Path, record: ModelCard) -> None:
    """Hear of a model that was fitted here and is saved: its folder and its card."""
