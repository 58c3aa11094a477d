"""The command: what it refuses, what it warns of, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import httpx2 as httpx
import pytest
from audiomatch_serve import server
from audiomatch_serve.command import serve
from audiomatch_serve.server import is_local, listen
from click.testing import CliRunner

from audiomatch.errors import UserError


def test_a_port_in_use_is_said_in_a_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: something listens there"):
            listen("127.0.0.1", port)
        done = CliRunner().invoke(serve, [str(tmp_path), "--port", str(port)])
    assert isinstance(done.exception, UserError)
    with pytest.raises(UserError, match="--host no.such.host.invalid: "):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("me", False)],
)
def test_what_is_local(host, local):
    assert is_local(host) == local


def test_beyond_this_machine_it_warns(model, monkeypatch):
    import audiomatch

    served = []
    monkeypatch.setattr(audiomatch, "load", lambda *_, **__: model, raising=False)
    monkeypatch.setattr(server, "serve_model", lambda *given: served.append(given[1]))
    near = CliRunner().invoke(serve, ["model", "--port", "0", "--allow-host", "Read.example"])
    far = CliRunner().invoke(serve, ["model", "--port", "0", "--host", "0.0.0.0"])
    assert (near.exit_code, far.exit_code) == (0, 0)
    assert "no password" in far.stderr and "no password" not in near.stderr
    assert "ear is served at http://127.0.0.1:" in near.stdout
    assert "read.example" in served[0].hosts and "localhost" in served[0].hosts
    assert served[1].hosts == ()


def test_it_stops_once_what_was_begun_is_answered(tmp_path, helpers):
    """A request of which half is sent when SIGTERM comes gets its answer."""
    import audiomatch

    folder = tmp_path / "model"
    audiomatch.fit("base-rate", "mini-screener", limit=20, cache=tmp_path).save(folder)
    main = "from audiomatch.cli import main; main()"
    program = [sys.executable, "-c", main, "serve", str(folder), "--port", "0"]
    place = {"AUDIOMATCH_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **place},
    ) as running:  # fmt: skip
        try:
            line = running.stdout.readline()
            address = line.split(" at ")[1].split()[0]
            with httpx.Client(base_url=address, timeout=30) as api:
                helpers.wait_until_warm(api)
                request = api.build_request("POST", "/v1/score", **helpers.form())
                body = request.read()

                def halves():
                    yield body[: len(body) // 2]
                    running.send_signal(signal.SIGTERM)
                    _refused(address)
                    yield body[len(body) // 2 :]

                kind = {"content-type": request.headers["content-type"]}
                answer = api.post("/v1/score", content=halves(), headers=kind)
            assert answer.status_code == 200 and answer.json()["model"] == "base-rate"
            out, err = running.communicate(timeout=20)
        finally:
            running.kill()
    assert (running.returncode, out, err) == (0, "", "")
    assert not list(tmp_path.glob("audiomatch-*"))


def _refused(address):
    """Wait until the server takes no more connections."""
    host, port = address.removeprefix("http://").strip("/").split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), 1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("it goes on listening")
