"""Errors as problem details (RFC 9457): one line, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from audiomatch.errors import PluginError, UserError
from audiomatch_serve.answers import Problem

MEDIA_TYPE = "application/problem+json"
LONGEST = 500  # characters of a detail


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that says what went wrong."""
    line = " ".join(detail.split())
    content = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…",
    )
    return JSONResponse(content.model_dump(), status, headers, MEDIA_TYPE)


def busy(detail: str, seconds: int = 1) -> Response:
    """Return the response that says to come again after some seconds."""
    return problem(503, detail, {"Retry-After": str(seconds)})


def handle_problems(app: FastAPI) -> None:
    """Let `app` answer every error with problem details."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UserError, _refused)
    app.add_exception_handler(Exception, _failed)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(422, f"{where}: {first['msg']}" if where else first["msg"])


def _refused(request: Request, error: Exception) -> Response:
    return _failed(request, error) if isinstance(error, PluginError) else problem(422, str(error))


def _failed(request: Request, error: Exception) -> Response:
    """Answer a fault of the program's own. Its message may hold a text: the log gets the place."""
    cause = error.__cause__ or error
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"
    line = f"audiomatch: {request.url.path} failed: {type(cause).__name__} ({place})"
    print(line, file=sys.stderr, flush=True)
    return problem(500, "the model failed on this clip; the server's log says where")
