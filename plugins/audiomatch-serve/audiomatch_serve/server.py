"""Listens, serves until it is told to stop, and answers what it has begun."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import click
import uvicorn
from fastapi import FastAPI

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


def names_of(host: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the names that requests may call a server by that listens on `host`; empty for any."""
    names = tuple(name.lower() for name in allowed)
    if is_local(host):
        names = (*LOCAL, host.lower(), *names)
    return () if "*" in names else names


def warn_if_open(host: str) -> None:
    """Say on stderr who can reach the server where that is not this machine alone."""
    if not is_local(host):
        click.echo(
            f"audiomatch: every machine that can reach {host} can use this server: it has no "
            "password and no TLS",
            err=True,
        )


def address(host: str, bound: socket.socket) -> str:
    """Return where a browser finds the server."""
    where = f"[{host}]" if ":" in host else host
    return f"http://{where}:{bound.getsockname()[1]}/"


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

    server = _server(make_app(model, settings, fail), settings)
    _run(server, bound)
    if failures:
        raise failures[0]


def serve_app(app: FastAPI, settings: Settings, bound: socket.socket) -> None:
    """Serve an application until SIGTERM or Ctrl-C; requests that were taken on are answered."""
    _run(_server(app, settings), bound)


def _server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="critical",  # a traceback may hold a text
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.seconds) + 1,
        lifespan="on",
        ws="none",
    )
    return uvicorn.Server(config)


def _run(server: uvicorn.Server, bound: socket.socket) -> None:
    with closing(bound), _signals_spent():
        server.run([bound])


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
