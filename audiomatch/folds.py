"""The one place that makes folds; groups are never split."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.datasets.cells import text_cells
from audiomatch.errors import DataWarning, UserError

NO_GROUPS = "none"
BY_TEXT = "expected_text"


@dataclass(frozen=True)
class Folds:
    """Which fold holds each clip out: `of[i]` in 0..k-1 for `clips` with their groups.

    A clip of no fold (-1) is in every training part. `fixed` names the option that fixed the split,
    where one did, and `warning` says what its parts share. `negatives` are the kinds of mismatches
    that were made, and `made[i]` is that of a clip, empty where it is of the data.
    """

    clips: Clips
    of: NDArray[np.int64]
    k: int
    group: str
    fixed: str = ""
    warning: str = ""
    negatives: tuple[str, ...] = ()
    made: NDArray[np.object_] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over ids, texts, groups and folds."""
        columns = (self.clips.ids, self.clips.texts, self.clips.groups, self.of)
        lines = (f"{i}\t{t}\t{g}\t{f}\n" for i, t, g, f in zip(*columns, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def split(self, fold: int) -> tuple[Clips, Clips]:
        """Return the training part with labels and the held-out part without them."""
        held_out = self.of == fold
        return self.clips.take(~held_out), self.clips.take(held_out).unlabelled()


def make_folds(clips: Clips, k: int, group: str = BY_TEXT, seed: int = 0) -> Folds:
    """Split labelled clips into `k` folds of nearly equal size.

    `group` is `expected_text` (grouped by the normalised text), any other column, `none` for plain
    shuffled k-fold, or empty for the groups that the clips have. The seed decides how groups of
    equal size are dealt out. Raises `UserError` when there are fewer groups than folds or a
    training part would have one class.
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
    from sklearn.model_selection import GroupKFold, KFold

    if k < 2:
        raise UserError(f"--folds {k}: at least 2")
    grouped = group_clips(clips, group)
    names = np.asarray(grouped.groups, dtype=object)
    of = np.empty(len(clips), dtype=np.int64)
    if group == NO_GROUPS:
        if len(clips) < k:
            raise UserError(f"{clips.source}: {len(clips)} clips cannot fill {k} folds")
        splits = KFold(k, shuffle=True, random_state=seed).split(names)
    else:
        _, codes = np.unique(names, return_inverse=True)
        found = int(codes.max()) + 1
        if found < k:
            raise UserError(
                f"{clips.source}: {found} group{'s' * (found != 1)} by {group!r} cannot fill "
                f"{k} folds; take --folds {found} or fewer, or another --group"
                if found > 1
                else f"{clips.source}: all clips are in one group by {group!r}; "
                "take another --group"
            )
        dealt = np.random.default_rng(seed).permutation(found)[codes]
        splits = GroupKFold(k).split(names, groups=dealt)
    for fold, (_, held_out) in enumerate(splits):
        of[held_out] = fold
    return Folds(grouped, of, k, group)


def group_clips(clips: Clips, group: str) -> Clips:
    """Return the clips with the groups that folds, and splits inside a matcher, never split.

    `group` is as for `make_folds`. Raises `UserError` where there is no such column.
    """
    return clips.with_groups(_groups(clips, group))


def _groups(clips: Clips, group: str) -> list[str]:
    if group == NO_GROUPS:
        return clips.ids
    if not group:
        return clips.groups
    if group == BY_TEXT:
        return clips.text_groups
    if group not in clips.frame.columns or group == "match":
        columns = [c for c in map(str, clips.frame.columns) if c not in ("match", "audio", "id")]
        raise UserError(
            f"--group {group}: {clips.source} has no such column; "
            f"there is: {', '.join(columns)}, or {NO_GROUPS}"
        )
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
    groups = np.unique(np.asarray(train.groups, dtype=object), return_inverse=True)[1]
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
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    rows = np.arange(len(train))
    groups = np.unique(np.asarray(train.groups, dtype=object), return_inverse=True)[1]
    if int(groups.max()) + 1 < 2:
        groups = rows
    k = min(max(2, k), int(groups.max()) + 1)
    if k > int(np.bincount(train.labels).max()):
        return list(GroupKFold(k).split(rows, groups=groups))  # too few clips to balance classes
    with warnings.catch_warnings():
        # A rare class cannot be in every fold; the splitter spreads it as well as it can.
        warnings.filterwarnings("ignore", message="The least populated class")
        splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
        folds = list(splitter.split(rows, train.labels, groups))
    if all(len(held_out) for _, held_out in folds):
        return folds
    # It may leave a fold empty (scikit-learn#34828), which sizes alone never do.
    dealt = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups]
    return list(GroupKFold(k).split(rows, groups=dealt))
