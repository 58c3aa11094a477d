"""Data that a matcher learns from beyond the training part: `Matcher.further_data`."""

from __future__ import annotations

from collections.abc import Iterable

from audiomatch.clips import Clips
from audiomatch.datasets import choose_dataset
from audiomatch.errors import UserError
from audiomatch.intake import admit, data_digest
from audiomatch.matcher import Run
from audiomatch.plugins import registry


def open_further(data: str, run: Run) -> Clips:
    """Open DATA, with its labels where it has them, and check every clip as `admit` does.

    Its texts are in their normal form, as those of the training part are.

    Raises `UserError` that names DATA, and the row of a clip that cannot be used.
    """
    return admit(_open(data), run).clips.normalised()


def further_digest(data: str) -> str:
    """Return the SHA-256 of all that DATA holds, audio by content, without decoding it.

    Raises `UserError` as `open_further` does, where a clip cannot be read.
    """
    return data_digest(_open(data))


def keep_apart(further: Iterable[str], clips: Clips, run: Run) -> None:
    """Raise `UserError` where a sound of further data is among `clips`, in whatever file.

    Every clip that is compared is held out once, so a matcher would have learned from it.
    """
    compared = set(clips.sounds)
    for data in dict.fromkeys(further):
        own = open_further(data, run)
        shared = sum(sound in compared for sound in own.sounds)
        if shared:
            raise UserError(
                f"{data}: the audio of {shared} of its {len(own)} clips is among the clips "
                "compared; a matcher that learns from it has heard what is held out"
            )


def _open(data: str) -> Clips:
    info, path = choose_dataset(registry().datasets(), data, None)
    try:
        clips = info.open(path, None)
    except UserError as error:
        raise UserError(f"{data}: {error}") from None
    # Beside the clips compared there may be another manifest.csv: errors name this one in full.
    clips.source = data
    return clips
