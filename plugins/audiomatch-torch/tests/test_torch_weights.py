import os
import socket
import stat
import time

import numpy as np
import pytest
import torch
from audiomatch_torch import (
    Weights,
    digest_of,
    load_into,
    load_pickled,
    load_tensors,
    packaged_folder,
    resolve_weights,
    save_tensors,
)
from torch import nn

from audiomatch.errors import WeightsError
from tests.hub_server import Hub, Repo


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    save_tensors({"weight": torch.ones(2, 3)}, inside / "model.safetensors")
    return inside


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_folder_is_taken_and_its_digest_follows_its_content(folder):
    found = resolve_weights(str(folder), "owner/name")
    assert found.folder == folder
    assert found.files == (folder / "model.safetensors",)
    before = found.digest
    save_tensors({"weight": torch.zeros(2, 3)}, folder / "model.safetensors")
    assert resolve_weights(str(folder), "owner/name").digest != before
    assert len(before) == 64


def test_scratch_has_no_files_and_no_digest():
    found = resolve_weights("scratch", "owner/name")
    assert found.scratch
    assert (found.name, found.digest, found.warning) == ("scratch", "", "")


def test_auto_falls_back_to_a_package(folder):
    packaged = Weights("a-package", folder, (folder / "model.safetensors",))
    assert resolve_weights("auto", "owner/name", lambda: packaged) is packaged


@pytest.mark.parametrize("silent", ["name resolution", "the server"])
def test_a_hub_without_an_answer_is_waited_for_once(monkeypatch, silent):
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes no request
        hub = f"http://localhost:{server.getsockname()[1]}"
        if silent == "name resolution":
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(20))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        start = time.monotonic()
        for name in ("owner/one", "owner/two", "another/three"):
            with pytest.raises(WeightsError, match="the hub is not reachable"):
                resolve_weights(name, name)
    assert time.monotonic() - start < 3.5


def test_auto_takes_the_hub_cache_before_a_package(tmp_path, folder, monkeypatch):
    snapshot = tmp_path / "hub" / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    save_tensors({"weight": torch.ones(1)}, snapshot / "model.safetensors")
    refs = tmp_path / "hub" / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    found = resolve_weights("auto", "owner/name", lambda: Weights("a-package", folder))
    assert found.name == "owner/name"
    assert found.files == (snapshot / "model.safetensors",)


@pytest.mark.parametrize("asked", ["auto", "owner/name"])
def test_no_hub_is_one_quick_line(asked):
    start = time.monotonic()
    with pytest.raises(WeightsError, match="'owner/name': not in the hub's cache") as error:
        resolve_weights(asked, "owner/name", how="pip install it")
    assert time.monotonic() - start < 5
    assert ("pip install it" in str(error.value)) == (asked == "auto")
    assert "\n" not in str(error.value)


def test_a_hub_that_does_not_answer_is_one_quick_line(monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(WeightsError, match="the hub is not reachable"):
        resolve_weights("auto", "owner/not-answering")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("asked", ["./nowhere", "/nowhere/at/all", "nowhere"])
def test_a_folder_that_is_not_there_is_one_line(asked):
    with pytest.raises(WeightsError, match="no such folder"):
        resolve_weights(asked, "owner/name")


def test_a_file_or_a_pickle_is_refused(folder):
    with pytest.raises(WeightsError, match="is a file; give the folder"):
        resolve_weights(str(folder / "model.safetensors"), "owner/name")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no \*.safetensors"):
        resolve_weights(str(folder), "owner/name")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"pytorch_model.bin is a pickle"):
        resolve_weights(str(folder), "owner/name")


def test_packages_are_found_without_importing_them(tmp_path, monkeypatch):
    package = tmp_path / "carries_weights" / "model"
    package.mkdir(parents=True)
    (tmp_path / "carries_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packaged_folder("carries_weights", "model") == package
    assert packaged_folder("carries_weights", "elsewhere") is None
    assert packaged_folder("is_not_installed", "model") is None


def test_tensors_round_trip_with_tied_weights(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    first, second = Tied(), Tied()
    save_tensors(first.state_dict(), tmp_path / "m.safetensors")
    tensors = load_tensors(tmp_path / "m.safetensors")
    assert len(tensors) == 1
    load_into(second, tensors, "m")
    assert torch.equal(first.b.weight, second.b.weight)


def test_damaged_or_missing_safetensors_name_the_file(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"model\.safetensors: not readable as safetensors"):
        load_tensors(file)
    with pytest.raises(WeightsError, match="it is missing"):
        load_tensors(folder / "other.safetensors")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"other": torch.ones(1)}, "has no tensor 'other'"),
        ({"weight": torch.ones(4, 4)}, r"'weight' is \(4, 4\), the model wants \(2, 3\)"),
        ({"weight": torch.ones(2, 3)}, "'bias' is missing"),
    ],
)
def test_another_architecture_is_one_line(tensors, message):
    with pytest.raises(WeightsError, match=message):
        load_into(nn.Linear(3, 2), tensors, "weights")


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "preprocessor_config.json",
        "1_Pooling/config.json",
    ],
)
def test_the_digest_covers_every_file_that_decides_numbers(folder, name):
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    before = resolve_weights(str(folder), "owner/name").digest
    file.write_text('{"pooling": "max"}')
    changed = resolve_weights(str(folder), "owner/name").digest
    assert changed != before
    (folder / "README.md").write_text("words")
    assert resolve_weights(str(folder), "owner/name").digest == changed


def test_a_hub_id_at_a_revision_is_the_same_as_long_as_the_hub_has_it(
    folder, tmp_path, monkeypatch
):
    hub = Hub()
    try:
        hub.use(tmp_path / "hub", monkeypatch)
        repo, commits = hub.repos.setdefault("models/pinned/name", Repo()), {}
        for branch, value in (("v1", 1.0), ("release/2", 2.0), ("main", 3.0)):
            save_tensors({"weight": torch.full((2,), value)}, folder / "model.safetensors")
            content = (folder / "model.safetensors").read_bytes()
            commits[branch] = repo.commit({"model.safetensors": content, "README.md": b""}, branch)

        def value_of(asked):
            found = resolve_weights(asked, "owner/name")
            return found.name, found.commit, load_tensors(found.files[0])["weight"][0].item()

        commit = commits["v1"]
        assert value_of("pinned/name#v1") == ("pinned/name#v1", commit, 1.0)
        assert value_of(f"pinned/name#{commit}") == (f"pinned/name#{commit}", commit, 1.0)
        assert value_of("pinned/name#release/2")[1:] == (commits["release/2"], 2.0)
        assert value_of("pinned/name") == ("pinned/name", commits["main"], 3.0)
        assert not list((tmp_path / "hub").rglob("README.md"))
        with pytest.raises(WeightsError, match="'pinned/name': has no revision 'v9'$"):
            resolve_weights("pinned/name#v9", "owner/name")
    finally:
        hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert value_of("pinned/name#v1") == ("pinned/name#v1", commit, 1.0)
    assert resolve_weights(str(folder), "owner/name").commit == ""


@pytest.mark.parametrize("asked", ["owner/name#", "owner/name#a b", "owner/name#v1#v2", "name#v1"])
def test_a_revision_that_is_none_is_one_line(asked):
    with pytest.raises(WeightsError, match="no such folder; give .*owner/name#revision"):
        resolve_weights(asked, "owner/name")


def test_a_file_of_the_same_size_and_time_is_read_again(folder):
    file = folder / "config.json"
    file.write_text('{"a": 1}')
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    before = resolve_weights(str(folder), "owner/name").digest
    file.write_text('{"a": 2}')
    os.utime(file, ns=times)
    assert resolve_weights(str(folder), "owner/name").digest != before


def test_tensors_get_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save_tensors({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o640


def test_auto_may_fall_back_to_scratch_and_says_so():
    found = resolve_weights("auto", "owner/name", scratch_warning="trained from scratch")
    assert found.scratch
    assert found.warning == "trained from scratch"
    with pytest.raises(WeightsError, match="not in the hub's cache"):
        resolve_weights("owner/name", "owner/name", scratch_warning="trained from scratch")


@pytest.mark.parametrize("asked", ["scratch", "auto", "nowhere"])
def test_where_nothing_is_trained_scratch_is_not_offered(asked):
    with pytest.raises(WeightsError) as error:
        resolve_weights(asked, "owner/name", scratch=False)
    line = str(error.value)
    assert "\n" not in line and "folder" in line.lower()
    assert line.count("scratch") == asked.count("scratch")


def test_a_pickle_is_read_without_running_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "a.bin"
    torch.save({"a": torch.ones(1), "best": np.float64(0.5)}, file)
    assert torch.equal(load_pickled(file)["a"], torch.ones(1))
    torch.save({"a": torch.ones(1), "b": Harm()}, file)
    with pytest.raises(WeightsError, match=r"would run code \(it wants posix\.mkdir\)"):
        load_pickled(file)
    assert not (tmp_path / "ran").exists()
    file.write_bytes(b"no pickle")
    with pytest.raises(WeightsError, match="a.bin"):
        load_pickled(file)
    torch.save([1], file)
    with pytest.raises(WeightsError, match="holds a list, not tensors by name"):
        load_pickled(file)


def test_digest_reads_every_file(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    assert digest_of([a, b]) != digest_of([b, a])
    assert digest_of([]) == ""
