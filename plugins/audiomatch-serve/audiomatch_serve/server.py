"""Listens, serves until it is told to stop, and answers what it has begun."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn

from audiomatch.errors import UserError
from audiomatch.fitted import Model
from audiomatch_serve.app import make_app
from audiomatch_serve.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "::1")


def is_local(host: str) -> bool:
    """Say whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. Raises `UserError` where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"--host {host}: {error.strerror}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()  # two could bind and not listen
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: something listens there; name another") from None
        raise UserError(f"--host {host} --port {port}: {error.strerror}") from None
    return made


def serve_model(model: Model, settings: Settings, bound: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were taken on are answered first.

    Raises `UserError` where the model cannot be warmed up.
    """
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        make_app(model, settings, fail),
        log_level="critical",  # a traceback may hold a text
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.seconds) + 1,
        lifespan="on",
        ws="none",
    )
    server = uvicorn.Server(config)
    with closing(bound), _signals_spent():
        server.run([bound])
    if failures:
        raise failures[0]


@contextmanager
def _signals_spent() -> Iterator[None]:
    """Let the signals that stop the server do no more: uvicorn raises them again at its end."""

    def ignore(*_: Any) -> None:
        pass

    before = {kind: signal.signal(kind, ignore) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
