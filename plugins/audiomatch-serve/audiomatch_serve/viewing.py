"""The report of a run, with the sound of every clip."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Container, Iterable, Sequence
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from audiomatch.audio import SAMPLE_RATE, Recording, recordings
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.records import Leaderboard, RunRecord
from audiomatch.report.page import clip_table, report_page
from audiomatch.report.words import read_words
from audiomatch.scoring.runs import open_run
from audiomatch_serve.guard import POLICY, Guard
from audiomatch_serve.marking import Marks
from audiomatch_serve.metrics import Metrics
from audiomatch_serve.problems import handle_problems
from audiomatch_serve.settings import Settings

LISTED = 50_000  # clips; a page of more is slow
DECODING = 2  # clips at a time
# All of the page is in the page: its texts are never taken for markup.
PAGE_POLICY = (
    POLICY.replace("script-src 'self'", "script-src 'unsafe-inline'")
    .replace("style-src 'self'", "style-src 'unsafe-inline'")
    .replace("img-src 'self'", "img-src data:")
    .replace("media-src blob:", "media-src 'self'")
)


def opened_clips(run: RunRecord, data: str | None) -> Clips:
    """Return the clips that a run predicted, from where they were or from `data`.

    Raises `UserError`.
    """
    from audiomatch.inputs import open_data

    record = run.test or run.data
    asked = run.arguments.get("columns")
    columns = {k: str(v) for k, v in asked.items()} if isinstance(asked, dict) else None
    shipped = record.dataset == record.source
    layout = None if data or shipped else _layout(record.dataset)
    try:
        return open_data(data or record.source, None, layout, columns).clips
    except UserError as error:
        raise UserError(f"{error}; --data names the data of the run where they lie now") from None


def _layout(dataset: str) -> str | None:
    """Return the layout of a record, where it is one and not how data were handed over."""
    from audiomatch.plugins import registry

    return dataset if dataset in registry().datasets() else None


def view_app(
    folder: Path, clips: Clips, run: RunRecord, settings: Settings, labels: Path
) -> FastAPI:
    """Return the application: the report at `/`, and each clip as WAV, by its number.

    A label that is marked as wrong is written into the table `labels`.

    Raises `UserError` for a folder that is no finished run. Nothing that a client sends becomes a
    path.
    """
    leaderboard = Leaderboard.read(folder / "leaderboard.json")
    table = clip_table(open_run(folder).predictions, leaderboard)
    addresses = _addresses(clips.ids, table.clips["id"])
    marks = Marks(labels, dict(zip(table.clips["id"], table.clips["match"], strict=True)))
    sounds, decoding = recordings(clips), asyncio.Semaphore(DECODING)
    shown = partial(report_page, addresses=addresses, words=read_words(folder), most=LISTED)

    def report() -> Response:
        marked = frozenset(marks.rows)
        page = shown(leaderboard, table, run, marks=marked)
        return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})

    def clip_id(number: int, known: Container[str] = clips.ids) -> str:
        if not 0 <= number < len(sounds) or clips.ids[number] not in known:
            raise HTTPException(404, f"there is no clip {number}")
        return clips.ids[number]

    async def mark(number: int) -> Response:
        marks.put(clip_id(number, marks.labels))
        return Response(status_code=204)

    async def unmark(number: int) -> Response:
        marks.remove(clip_id(number))
        return Response(status_code=204)

    async def clip(number: int) -> Response:
        clip_id(number)
        async with decoding:
            return Response(await asyncio.to_thread(_wav, sounds[number]), media_type="audio/wav")

    app = FastAPI(title="audiomatch view", docs_url=None, redoc_url=None, openapi_url=None)
    handle_problems(app)
    app.add_api_route("/", report, response_class=HTMLResponse)
    app.add_api_route("/clips/{number}", clip, response_class=Response)
    app.add_api_route("/labels/{number}", mark, methods=["PUT"], response_class=Response)
    app.add_api_route("/labels/{number}", unmark, methods=["DELETE"], response_class=Response)
    app.add_middleware(Guard, settings=settings, metrics=Metrics())
    return app


def _addresses(ids: Sequence[str], predicted: Iterable[str]) -> dict[str, str]:
    """Return the address of the sound of each clip that was predicted, where it is known.

    A mismatch that was made of a clip has its sound, and no label of the data: its address ends in
    `#made`, and the page lets it not be marked.
    """
    numbers = {name: number for number, name in enumerate(ids)}
    found = {}
    for name in predicted:
        clip = name.rpartition("#")[0]
        if name in numbers:
            found[name] = f"clips/{numbers[name]}"
        elif clip in numbers:
            found[name] = f"clips/{numbers[clip]}#made"
    return found


def _wav(recording: Recording) -> bytes:
    """Return a clip as matchers hear it."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, recording.load(), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
