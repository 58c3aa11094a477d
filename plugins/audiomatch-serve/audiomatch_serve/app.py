"""The application: its routes, and the model that they share."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from audiomatch.audio import MAX_SECONDS
from audiomatch.decoding import decode
from audiomatch.errors import UserError
from audiomatch.fitted import Model
from audiomatch_serve.answers import Answer, Health, Judgement, Limits, Problem
from audiomatch_serve.batching import Batcher
from audiomatch_serve.guard import JUDGING, Guard
from audiomatch_serve.judge import Judge, Recording
from audiomatch_serve.keeping import keep
from audiomatch_serve.metrics import Metrics
from audiomatch_serve.problems import MEDIA_TYPE, busy, handle_problems
from audiomatch_serve.settings import Settings

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/recorder.js": ("recorder.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
DECODING = 2  # clips at a time; a decoded one may be far larger than its file
PROBLEM = Problem.model_json_schema()
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"content": {MEDIA_TYPE: {"schema": PROBLEM}}, "description": description}
    for status, description in {
        400: "the request cannot be read",
        403: "a page of another site",
        413: "larger than the server takes",
        415: "not multipart/form-data",
        422: "the clip or the text cannot be used",
        500: "the model failed",
        503: "too much at a time, too slow, or not warm yet; see Retry-After",
        507: "the clip could not be kept",
    }.items()
}
NOT_WARM: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "not warm yet"}}


class Service:
    """A model that is served, and what its requests share."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.judge, self.settings, self.metrics = Judge(model), settings, Metrics()
        self.batcher = Batcher[Recording, Judgement](self._compute, settings.batch)
        self.decoding = asyncio.Semaphore(DECODING)
        self.keeping = asyncio.Lock()
        self.ready = False

    def _compute(self, recordings: Sequence[Recording]) -> Sequence[Judgement | UserError]:
        started = time.perf_counter()
        found = self.judge(recordings)
        self.metrics.batch_seconds.observe(time.perf_counter() - started)
        self.metrics.batch_clips.observe(len(recordings))
        return found

    async def warm_up(self) -> None:
        """Judge a clip of mini-screener in each way, so that the first caller need not wait.

        Raises `UserError` where the model cannot.
        """
        recording = await asyncio.to_thread(_first_recording)
        for words in (True, False):
            await self.batcher(Recording(recording.samples, recording.text, words))
        self.ready = True
        self.metrics.ready.set(1)

    async def answer(self, recording: Recording) -> Answer:
        """Judge a recording, and keep it where that is asked for."""
        judged = await self.batcher(recording)
        answer = Answer(
            **judged.model_dump(),
            id=uuid.uuid4().hex,
            seconds=recording.seconds,
            warnings=list(recording.warnings),
            model=self.judge.name,
        )
        if self.settings.keep is not None:
            try:
                async with self.keeping:
                    await asyncio.to_thread(keep, self.settings.keep, recording, answer)
            except (OSError, UserError) as error:
                raise HTTPException(507, "the server could not keep the clip") from error
        self.metrics.verdicts.labels(verdict=answer.verdict).inc()
        self.metrics.clip_seconds.observe(recording.seconds)
        return answer


def _first_recording() -> Recording:
    from audiomatch.audio import load_audio
    from audiomatch.inputs import open_data

    clips = open_data("mini-screener", labelled=False).clips
    return Recording(load_audio(clips.paths[0]), clips.texts[0])


def make_app(
    model: Model, settings: Settings, failed: Callable[[BaseException], None] | None = None
) -> FastAPI:
    """Return the application. `failed` hears of a model that cannot be warmed up."""
    service = Service(model, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.batcher.running():
            warming = asyncio.create_task(service.warm_up())
            warming.add_done_callback(lambda task: _report(task, failed))
            yield
            warming.cancel()

    app = FastAPI(
        title="audiomatch",
        summary="Does this recording say this text?",
        version=version("audiomatch-serve"),
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    handle_problems(app)
    add = app.add_api_route
    add(JUDGING, score, methods=["POST"], response_model=Answer, responses=PROBLEMS)
    add("/health", health, response_model=Health, responses=NOT_WARM)
    add("/metrics", metrics, response_class=Response)
    for path, (name, kind) in PAGE.items():
        add(path, _file(name, kind), include_in_schema=False)
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    return app


def _report(task: asyncio.Task[None], failed: Callable[[BaseException], None] | None) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and failed is not None:
        failed(error)


async def score(
    request: Request,
    audio: Annotated[
        UploadFile, File(description="WAV, FLAC, Ogg Vorbis or Opus, or MP3; at most 30 s")
    ],
    text: Annotated[str, Form(description="what the clip should say")],
    words: Annotated[bool, Form(description="whether to tell of each word")] = True,
) -> Any:
    """Judge whether a clip says a text."""
    service: Service = request.app.state.service
    if not service.ready:
        return busy("the model is warming up; come again")
    if not text.strip():
        raise HTTPException(422, "text is empty; say what the clip should say")
    if len(text) > service.settings.text:
        most = service.settings.text
        raise HTTPException(422, f"text has {len(text)} characters; at most {most} are taken")
    async with service.decoding:
        samples, warnings = await asyncio.to_thread(decode, await audio.read(), "the clip")
    said = tuple(f"the clip {warning}" for warning in warnings)
    return await service.answer(Recording(samples, text, words, said))


async def health(request: Request) -> Response:
    """Say whether the model is warm, and what a request may hold."""
    service: Service = request.app.state.service
    settings = service.settings
    found = Health(
        status="ready" if service.ready else "warming up",
        model=service.judge.name,
        words=service.judge.explains,
        keeps=settings.keep is not None,
        limits=Limits(
            upload_bytes=settings.upload,
            text_characters=settings.text,
            clip_seconds=MAX_SECONDS,
        ),
    )
    retry = None if service.ready else {"Retry-After": "1"}
    return JSONResponse(found.model_dump(), 200 if service.ready else 503, retry)


async def metrics(request: Request) -> Response:
    """Return the counters in the text format of Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _file(name: str, kind: str) -> Callable[[], Any]:
    """Return what answers with a file of the page, read once."""
    content = (files("audiomatch_serve") / "page" / name).read_bytes()

    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer
