"""The API: answers, problems, limits, security."""

from __future__ import annotations

import io
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiomatch


def problem(response, status):
    """Check that a response is problem details of one line; return the line."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["type"] == "about:blank" and found["status"] == status and found["title"]
    assert "\n" not in found["detail"] and "Traceback" not in response.text
    return found["detail"]


def test_a_clip_is_judged_with_its_words(client, helpers):
    response = client().post("/v1/score", **helpers.form())
    assert response.status_code == 200
    found = response.json()
    assert found["p_match"] == pytest.approx(0.75, abs=1e-3)
    assert (found["verdict"], found["model"]) == ("listen", "ear")
    assert found["seconds"] == pytest.approx(3.06, abs=0.01) and found["warnings"] == []
    assert found["heard"] == "the little cat ran" and len(found["id"]) == 32
    dog = found["words"][2]
    assert dog == {"word": "dog", "start": 0.2, "end": pytest.approx(0.3), "p_said": 0.04,
                   "said": False, "heard": "cat"}  # fmt: skip
    assert [word["said"] for word in found["words"]] == [True, True, False, True]


def test_an_odd_clip_is_warned_of(client, helpers):
    (warning,) = (
        client().post("/v1/score", **helpers.form(helpers.speech(level=1e-4))).json()["warnings"]
    )
    assert warning.startswith("the clip is nearly silent")


def test_words_can_be_left_out(client, helpers, ear):
    found = client().post("/v1/score", **helpers.form(words="false")).json()
    assert found["words"] is None and found["heard"] is None
    assert found["p_match"] == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize(
    ("level", "text", "verdict"),
    [
        (0.97, "moon", "match"),
        (0.97, "the dog ran", "listen"),  # a word was not said
        (0.5, "moon", "listen"),
        (0.03, "moon", "mismatch"),
    ],
)
def test_the_verdict_is_that_of_score(client, helpers, level, text, verdict):
    clip = helpers.form(helpers.speech(level, kind="FLAC"), text)
    assert client().post("/v1/score", **clip).json()["verdict"] == verdict


def test_a_clip_in_which_nobody_speaks_is_no_match(client, helpers):
    tone = helpers.form(helpers.tone(level=0.97), "moon")
    assert client().post("/v1/score", **tone).json()["verdict"] == "no speech"


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"audio": b"no audio at all"}, 422, "the clip is text, not audio"),
        ({"audio": b""}, 422, "the clip is empty"),
        ({"text": "   "}, 422, "text is empty"),
        ({"text": "x" * 50}, 422, "text has 50 characters; at most 40 are taken"),
        ({"text": "refused"}, 422, "the text cannot be read by this matcher"),
        ({"text": "crash"}, 500, "the model failed on this clip"),
        ({"words": "perhaps"}, 422, "words: "),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(client, helpers, capsys, fields, status, says):
    detail = problem(client(text=40).post("/v1/score", **helpers.form(**fields)), status)
    assert detail.startswith(says)
    out, err = capsys.readouterr()
    assert "secret" not in out + err  # a text is never logged
    assert ("ValueError" in err) == (status == 500)


def test_a_long_clip_is_refused(client, helpers):
    detail = problem(client().post("/v1/score", **helpers.form(helpers.tone(31, rate=4000))), 422)
    assert "longer than 30 s" in detail


def test_a_small_file_of_very_many_samples_is_refused(client, helpers):
    """30 s of silence in 8 channels of 655 kHz are 165 kB, of which decoding makes 700 MB."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((8192, 8)), 655_350, format="FLAC")
    detail = problem(client().post("/v1/score", **helpers.form(file.getvalue())), 422)
    assert "8 channels of 655350 Hz" in detail


def test_other_bodies_are_refused(client, helpers):
    api = client()
    assert "multipart" in problem(api.post("/v1/score", json={"text": "moon"}), 415)
    assert "audio" in problem(api.post("/v1/score", files={"text": (None, "moon")}), 422)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    problem(api.post("/v1/score", content=b"--y\r\nnothing", headers=broken), 400)
    problem(api.get("/v1/score"), 405)
    problem(api.get("/../secret"), 404)


def test_a_large_request_is_refused_before_it_is_read(client, helpers):
    api = client(upload=100_000)
    assert "0.1 MB" in problem(api.post("/v1/score", **helpers.form(bytes(200_000))), 413)

    def pieces():  # of no declared length
        yield b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
        for _ in range(50):
            yield bytes(50_000)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert "0.1 MB" in problem(api.post("/v1/score", content=pieces(), headers=kind), 413)


def test_more_than_the_queue_takes_are_told_to_come_again(client, helpers, ear):
    api = client(queue=2, batch=1)
    ear.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(api.post, "/v1/score", **helpers.form()) for _ in range(2)]
        _wait(lambda: "in_flight 2.0" in api.get("/metrics").text)
        refused = api.post("/v1/score", **helpers.form())
        assert "come again" in problem(refused, 503) and refused.headers["retry-after"] == "1"
        ear.gate.set()
        assert [one.result().status_code for one in taken] == [200, 200]
    assert api.post("/v1/score", **helpers.form()).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(client, helpers, ear):
    api = client(seconds=0.3)
    ear.gate.clear()
    assert "within 0.3 s" in problem(api.post("/v1/score", **helpers.form()), 503)
    ear.gate.set()
    _wait(lambda: api.post("/v1/score", **helpers.form()).status_code == 200)


def test_ready_means_warm(model, ear, helpers):
    from audiomatch_serve.app import make_app
    from audiomatch_serve.settings import Settings
    from starlette.testclient import TestClient

    ear.gate.clear()
    with TestClient(make_app(model, Settings()), base_url="http://localhost") as api:
        cold = api.get("/health")
        assert (cold.status_code, cold.json()["status"]) == (503, "warming up")
        refused = api.post("/v1/score", **helpers.form())
        assert "warming up" in problem(refused, 503) and refused.headers["retry-after"]
        ear.gate.set()
        helpers.wait_until_warm(api)
        assert api.get("/health").json() == {
            "status": "ready", "model": "ear", "words": True, "keeps": False,
            "limits": {"upload_bytes": 16_000_000, "text_characters": 2000, "clip_seconds": 30.0},
        }  # fmt: skip
        assert "audiomatch_ready 1.0" in api.get("/metrics").text


def test_a_model_that_cannot_be_warmed_up_is_reported(model, ear):
    from audiomatch_serve.app import make_app
    from audiomatch_serve.settings import Settings
    from starlette.testclient import TestClient

    ear.predict = lambda clips, run: 1 / 0
    failures = []
    with TestClient(make_app(model, Settings(), failures.append), base_url="http://localhost"):
        _wait(lambda: failures)
    (failure,) = failures
    assert isinstance(failure, audiomatch.UserError) and "ZeroDivisionError" in str(failure)


def test_other_names_and_other_sites_are_refused(client, helpers):
    api = client(hosts=("localhost", "::1"))
    for host in ("evil.example", "localhost.evil.example", "[::1", ""):
        assert "not called" in problem(api.get("/health", headers={"host": host}), 400)
    assert api.get("/health", headers={"host": "[::1]:8000"}).status_code == 200
    for origin in ("https://evil.example", "null"):
        sent = api.post("/v1/score", **helpers.form(), headers={"origin": origin})
        assert "another site" in problem(sent, 403)
    own = {"origin": "http://localhost:8000", "host": "localhost:8000"}
    assert api.post("/v1/score", **helpers.form(), headers=own).status_code == 200


def test_the_page_needs_nothing_from_elsewhere(client):
    api = client()
    page = api.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for name in ("page.css", "page.js", "recorder.js", "icon.svg"):
        assert name in page.text or name == "recorder.js"
        found = api.get(f"/{name}")
        assert found.status_code == 200
        assert "http" not in found.text.replace("http://www.w3.org/2000/svg", "").replace(
            "by https", ""
        )


def test_the_api_describes_itself(client):
    described = client().get("/openapi.json").json()
    post = described["paths"]["/v1/score"]["post"]
    assert set(post["responses"]) >= {"200", "400", "413", "415", "422", "503"}
    assert "application/problem+json" in post["responses"]["503"]["content"]
    answer = described["components"]["schemas"]["Answer"]
    assert {"id", "p_match", "verdict", "words", "seconds", "model"} <= set(answer["properties"])
    assert {"/health", "/metrics"} <= set(described["paths"])


def test_metrics_count(client, helpers):
    api = client()
    api.post("/v1/score", **helpers.form())
    api.post("/v1/score", **helpers.form(text=" "))
    text = api.get("/metrics").text
    for line in (
        'audiomatch_requests_total{status="200"} 1.0',
        'audiomatch_requests_total{status="422"} 1.0',
        'audiomatch_verdicts_total{verdict="listen"} 1.0',
        "audiomatch_request_seconds_count 2.0",
        "audiomatch_clip_seconds_sum 3.0",
    ):
        assert line in text


def test_nothing_is_kept_unless_asked(client, helpers, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    large = helpers.tone(20, rate=48_000)  # starlette puts it into a file while it is read
    assert client().post("/v1/score", **helpers.form(large)).status_code == 200
    assert not list(temporary.iterdir())
    assert not (tmp_path / "cache").exists()


def test_what_is_kept_is_a_manifest(client, helpers, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    answers = [client(keep=folder).post("/v1/score", **helpers.form()).json() for _ in range(2)]
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [answer["id"] for answer in answers]
    from audiomatch.inputs import open_data

    clips = open_data(folder / "answers.jsonl", labelled=False).clips
    assert clips.texts == ["the little dog ran"] * 2
    assert clips.seconds == pytest.approx([3.06, 3.06], abs=0.01)


def test_a_clip_that_cannot_be_kept_is_no_fault_of_the_callers(client, helpers, tmp_path):
    api = client(keep=Path("/proc/nowhere"))
    assert "could not keep" in problem(api.post("/v1/score", **helpers.form()), 507)


def _wait(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and threading.main_thread().is_alive()
        time.sleep(0.02)
