"""The one place that makes folds; groups are never split."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.datasets.cells import text_cells
from audiomatch.dealing import Codes, deal
from audiomatch.errors import DataWarning, UserError

NO_GROUPS = "none"
BY_TEXT = "expected_text"


@dataclass(frozen=True)
class Folds:
    """Which fold holds each clip out: `of[i]` in 0..k-1 for `clips` with their groups.

    A clip of no fold (-1) is in every training part. `fixed` names the option that fixed the split,
    where one did, and `warning` says what its parts share. `negatives` are the kinds of mismatches
    that were made, and `made[i]` is that of a clip, empty where it is of the data.
    `skipped` has a line for each of these that was left out, for a matcher cannot take it.
    """

    clips: Clips
    of: NDArray[np.int64]
    k: int
    group: str
    fixed: str = ""
    warning: str = ""
    negatives: tuple[str, ...] = ()
    made: NDArray[np.object_] | None = None
    skipped: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids, texts, groups and folds, whatever the order of rows."""
        columns = (self.clips.ids, self.clips.texts, self.clips.groups, self.of)
        lines = (f"{i}\t{t}\t{g}\t{f}\n" for i, t, g, f in zip(*columns, strict=True))
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    def split(self, fold: int) -> tuple[Clips, Clips]:
        """Return the training part with labels and the held-out part without them."""
        held_out = self.of == fold
        return self.clips.take(~held_out), self.clips.take(held_out).unlabelled()


def make_folds(clips: Clips, k: int, group: str = BY_TEXT, seed: int = 0) -> Folds:
    """Split labelled clips into `k` folds of nearly equal size.

    `group` is as for `group_clips`. Folds are as alike in size and in both labels as whole groups
    allow; they depend on the clips and the seed, not on the order of rows. Raises `UserError` when
    there are fewer groups than folds or a training part would have one class.
    """
    folds = deal_folds(clips, k, group, seed)
    check_classes(folds)
    return folds


def check_classes(folds: Folds) -> None:
    """Raise `UserError` where a training part, or all of the clips, have one class."""
    labels, source = folds.clips.labels, folds.clips.source
    classes = np.unique(labels)
    if classes.size < 2:
        hint = "; of matches alone --negatives swap,edit makes mismatches" if classes[0] else ""
        raise UserError(
            f"{source}: every clip has match {classes[0]}; fitting needs both 0 and 1{hint}"
        )
    for fold in range(folds.k):
        classes = np.unique(labels[folds.of != fold])
        if classes.size < 2:
            raise UserError(
                f"{source}: without fold {fold} every clip has match {classes[0]}; a training "
                "part needs both 0 and 1 (fewer folds, more clips, or another --group)"
            )


def deal_folds(clips: Clips, k: int, group: str = BY_TEXT, seed: int = 0) -> Folds:
    """Split clips as `make_folds` does, whatever their labels."""
    if k < 2:
        raise UserError(f"--folds {k}: at least 2")
    grouped = group_clips(clips, group)
    codes = _codes(grouped.groups)[0]
    found = int(codes.max()) + 1
    if found < k:
        raise _too_few(grouped, group, found, k)
    of = deal(codes, clips.labels, k, seed)
    return Folds(grouped, of, k, group)


def dealt_again(folds: Folds, seed: int) -> Folds:
    """Return other folds of the same clips and groups. Raises `UserError` as `make_folds` does."""
    of = deal(_codes(folds.clips.groups)[0], folds.clips.labels, folds.k, seed)
    again = replace(folds, of=of)
    check_classes(again)
    return again


def _too_few(clips: Clips, group: str, found: int, k: int) -> UserError:
    named = found if group in ("", NO_GROUPS) else len({*_columns(clips, group)[0]})
    by = f"{group!r}" if named == found else f"{group!r} and recording"
    if found > 1:
        return UserError(
            f"{clips.source}: {found} groups by {by} cannot fill {k} folds; "
            f"take --folds {found} or fewer, or another --group"
        )
    other = (
        "another --group"
        if named == found
        else "--group audio, which keeps recordings apart, not texts"
    )
    return UserError(f"{clips.source}: all clips are in one group by {by}; take {other}")


def group_clips(clips: Clips, group: str) -> Clips:
    """Return the clips with the groups that folds, and splits inside a matcher, never split.

    Clips are in one group where they are alike in a column that `group` names, or are one recording
    (`Clips.sounds`, known after intake), directly or by way of others. A group is called by the
    first of its values.

    Args:
        clips: the clips.
        group: a column; several with + between; `expected_text`, as `text_key` folds it; `none` for
            recordings alone; or empty for the groups that the clips have.

    Raises:
        UserError: there is no such column.
    """
    if not group:
        return clips.with_groups(clips.groups)
    columns = [clips.ids] if group == NO_GROUPS else _columns(clips, group)
    return clips.with_groups(_joined([*columns, clips.sounds] if clips.admitted else columns))


def _columns(clips: Clips, group: str) -> list[list[str]]:
    names = [group] if group in clips.frame.columns else group.split("+")
    if not set(names) <= set(clips.frame.columns) - {"match"}:
        columns = [c for c in map(str, clips.frame.columns) if c not in ("match", "audio", "id")]
        raise UserError(
            f"--group {group}: {clips.source} has no such column; "
            f"there is: {', '.join(columns)}, or {NO_GROUPS}"
        )
    return [clips.text_groups if name == BY_TEXT else _cells(clips, name) for name in names]


def _cells(clips: Clips, group: str) -> list[str]:
    groups = text_cells(clips[group], group, clips.where, loose=True)
    without = [position for position, name in enumerate(groups) if not name.strip()]
    if 0 < len(without) < len(clips):
        warnings.warn(
            f"--group {group}: {len(without)} of {len(clips)} clips have none and are kept "
            f"together; the first: {clips.where(without[0])}",
            DataWarning,
            stacklevel=4,
        )
    return groups


def _joined(columns: Sequence[Sequence[str]]) -> list[str]:
    """Return for each row the least of the first column's values in its connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(columns[0]))
    coded = [_codes(values) for values in columns]
    edges, nodes = [], len(rows)  # from each row to each of its values
    for codes, values in coded:
        edges.append(nodes + codes)
        nodes += len(values)
    ends = np.tile(rows, len(columns)), np.concatenate(edges)
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(nodes, nodes))
    count, component = connected_components(graph, directed=False)
    codes, values = coded[0]
    least = np.full(count, len(values))
    np.minimum.at(least, component[: len(rows)], codes)
    joined: list[str] = values[least[component[: len(rows)]]].tolist()
    return joined


def _codes(values: Sequence[str]) -> tuple[Codes, NDArray[np.object_]]:
    """Return the number of each value among the distinct ones, and these, sorted."""
    codes, distinct = pd.factorize(np.asarray(values, dtype=object), sort=True)
    return codes, distinct


def nested_part(train: Clips, size: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    """Return the positions of `size` clips of a training part, of both classes where at least 2.

    Whole groups in an order that `seed` draws, the last one cut. Those of a smaller size are among
    those of a larger one, whatever the order of rows.
    """
    rng = np.random.default_rng(seed)
    codes, groups = _codes(train.groups)
    by_id = np.argsort(np.array(train.ids, dtype=object))
    place = rng.permutation(len(groups))[codes]  # (n,) of a clip's group
    drawn = rng.permutation(by_id)
    drawn = drawn[np.argsort(place[drawn], kind="stable")]
    other = int(np.argmax(train.labels[drawn] != train.labels[drawn[0]]))  # of the other class
    drawn = np.r_[drawn[0], drawn[other], np.delete(drawn, [0, other])]
    return np.sort(drawn[:size])


def inner_split(
    train: Clips,
    fraction: float = 0.2,
    seed: int = 0,
    note: Callable[..., None] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a training part for validation or calibration inside it.

    Returns the positions of the larger and the smaller part, group-disjoint, with classes as
    balanced as groups allow. The smaller part is of about `fraction` of the clips, or as near as
    whole groups come; never more than half of the clips, nor, of more than one, of the groups.
    `note` (`Run.note`) hears a warning where they come nowhere near. With a single group the split
    is by clip.
    """
    wanted = fraction * len(train)
    groups = _codes(train.groups)[0]
    folds = [aside for _, aside in inner_folds(train, max(2, round(1 / fraction)), seed)]
    small = [aside for aside in folds if 2 * len(aside) <= len(train)]
    near = [aside for aside in small if abs(len(aside) - wanted) <= wanted / 10]
    if near:
        aside = near[0]
    else:
        aside = min(small or folds, key=lambda one: (abs(len(one) - wanted), len(one)))
        most = max(1, (int(groups.max()) + 1) // 2)
        for more in small if 2 * len(aside) <= len(train) else ():
            joined = np.union1d(aside, more)
            nearer = abs(len(joined) - wanted) < abs(len(aside) - wanted)
            if nearer and 2 * len(joined) <= len(train) and len(np.unique(groups[joined])) <= most:
                aside = joined
    if 2 * len(aside) > len(train):  # of two groups the larger came first
        aside = np.setdiff1d(np.arange(len(train)), aside)
    if note is not None and not wanted / 2 <= len(aside) <= 2 * wanted:
        note(
            warning=f"{len(aside) / len(train):.0%} of the training part is set aside instead of "
            f"{fraction:.0%}: its groups are too unequal"
        )
    return np.setdiff1d(np.arange(len(train)), aside), aside


def inner_folds(
    train: Clips, k: int, seed: int = 0
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split a training part into at most `k` inner folds, for out-of-fold predictions inside it.

    Returns the positions of the rest and of the held-out part, a pair a fold: group-disjoint, each
    clip held out once and no fold empty, with classes as balanced as groups allow. With fewer
    groups than `k` there is a fold a group; with a single group the split is by clip.
    """
    groups = _codes(train.groups)[0]
    if int(groups.max()) + 1 < 2:
        groups = np.arange(len(train))
    k = min(max(2, k), int(groups.max()) + 1)
    of = deal(groups, train.labels, k, seed)
    return [(np.flatnonzero(of != fold), np.flatnonzero(of == fold)) for fold in range(k)]
