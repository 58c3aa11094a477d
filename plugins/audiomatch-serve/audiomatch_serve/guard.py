"""What every request passes before the application sees it, and what every answer carries."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiomatch_serve.metrics import Metrics
from audiomatch_serve.problems import busy, problem
from audiomatch_serve.settings import MEGABYTE, Settings

JUDGING = "/v1/score"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses foreign hosts and origins, bounds what is taken on, and sets security headers.

    What is too large, too much at a time or too slow is refused before it is read whole.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _Sending(send)
        headers = Headers(scope=scope)
        judging = scope["path"] == JUDGING and scope["method"] == "POST"
        refusal = self._foreign(headers) or (self._refusal(headers) if judging else None)
        if refusal is None and judging:
            await self._judge(scope, receive, sending)
        elif refusal is None:
            await self._app(scope, receive, sending)
        else:
            await refusal(scope, receive, sending)
        if judging:
            self._metrics.requests.labels(status=sending.status or 500).inc()

    def _foreign(self, headers: Headers) -> Response | None:
        """Refuse a name that is not the server's (DNS rebinding), and other sites' scripts."""
        host = headers.get("host", "").lower()
        if self._settings.hosts and _name(host) not in self._settings.hosts:
            return problem(400, f"this server is not called {host!r}; see --allow-host")
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            return problem(403, "a page of another site may not call this server")
        return None

    def _refusal(self, headers: Headers) -> Response | None:
        """Refuse what need not be read."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            return problem(415, "send multipart/form-data with the fields audio and text")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.upload:
            return problem(413, self._too_large)
        if self._in_flight >= self._settings.queue:
            return busy(f"{self._in_flight} requests are waiting; come again")
        return None

    @property
    def _too_large(self) -> str:
        return f"the request is larger than {self._settings.upload / MEGABYTE:g} MB"

    async def _judge(self, scope: Scope, receive: Receive, send: _Sending) -> None:
        """Let the application answer, in time and with no more than it may read."""
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._settings.upload:
                raise HTTPException(413, self._too_large)
            return message

        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.seconds):
                await self._app(scope, bounded, send)
        except TimeoutError:
            if not send.started:
                slow = busy(f"not answered within {self._settings.seconds:g} s; come again", 5)
                await slow(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self._metrics.request_seconds.observe(time.perf_counter() - started)


def _name(host: str) -> str:
    """Return a `Host` without its port; empty where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that do not close
        return ""


class _Sending:
    """Adds the headers to an answer, and knows its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
