"""Executors run the jobs of a comparison; plugins offer them by the hook `audiomatch_executors`.

An executor is a `concurrent.futures.Executor`. It is given `run_job`, a `Job` and a `Progress`, all
of which can be pickled, and knows nothing of matchers. The numbers are the same under each. Where
jobs have other GPUs than this machine's, its attribute `gpus` says how many each has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from audiomatch.errors import UserError, blame_on, unknown
from audiomatch.offers import import_object

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class ExecutorInfo:
    """What a plugin says of an executor without importing its code.

    Attributes:
        name: what users type after `--executor`; lower-case letters, digits and hyphens.
        summary: one line about it.
        load: `"package.module:Class"`, or a callable that returns the class: what makes a
            `concurrent.futures.Executor`. Its keyword parameters are the options that users may
            set; text is converted to their annotated types, and defaults are taken from them.
    """

    name: str
    summary: str
    load: str | Callable[[], Callable[..., Executor]]


class InlineExecutor(Executor):
    """Runs each job in this process, before `submit` returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn`; an interrupt goes through, any other error is the future's."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised again by the future
            future.set_exception(error)
        return future


def make_executor(named: str, offered: Mapping[str, ExecutorInfo]) -> Executor:
    """Make the executor that `NAME[@key=value]…` names. Raises `UserError`.

    Args:
        named: as the user wrote it.
        offered: every executor by name.
    """
    name, *pairs = named.split("@")
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals or not value:
            raise UserError(f"--executor {named}: '@{pair}' is not of the form @key=value")
        options[key.replace("-", "_")] = value
    if name not in offered:
        raise unknown("executor", name, offered)
    info = offered[name]
    with blame_on(f"executor {name!r}"):
        make = import_object(info.load) if isinstance(info.load, str) else info.load()
        executor = make(**_typed(make, options, f"--executor {name}"))
    if not isinstance(executor, Executor):
        raise UserError(f"executor {name!r} is {executor!r}; must be a concurrent.futures.Executor")
    return executor


def gpus_of(executor: Executor) -> int | None:
    """Return how many GPUs each job of `executor` has; None: those of this machine."""
    gpus: int | None = getattr(executor, "gpus", None)
    return gpus


def _typed(make: Callable[..., Any], options: Mapping[str, str], label: str) -> dict[str, Any]:
    """Convert options to the types of the parameters of `make`. Raises `UserError`."""
    from pydantic import create_model

    from audiomatch.config import MatcherConfig, build_config

    fields: dict[str, Any] = {
        parameter.name: (
            Any if parameter.annotation is parameter.empty else parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in inspect.signature(make, eval_str=True).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    model = create_model("Options", __base__=MatcherConfig, **fields)
    return dict(build_config(model, options, label))
