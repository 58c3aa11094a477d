"""Paths of users, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiomatch.errors import UserError
from audiomatch.files import (
    atomic_file,
    atomic_folder,
    check_output_file,
    check_output_folder,
    user_path,
    write_json,
)
from audiomatch.locks import held
from audiomatch.plugins import Registry
from tests.toys import toy_plugin

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(inside.name for inside in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_and_a_folder_have_the_umasks_modes(tmp_path: Path, umask: int) -> None:
    write_json(tmp_path / "new" / "a.json", {})
    with atomic_file(tmp_path / "b.bin") as temporary:
        temporary.unlink()  # as a library that writes a private file of its own
        temporary.touch(0o600)
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "inner").mkdir(0o700)
        (folder / "inner" / "private.safetensors").touch(0o600)
    files = (tmp_path / "new" / "a.json", tmp_path / "b.bin")
    files += (tmp_path / "model" / "inner" / "private.safetensors",)
    assert {mode(file) for file in files} == {0o666 & ~umask}
    folders = (tmp_path / "new", tmp_path / "model", tmp_path / "model" / "inner")
    assert {mode(folder) for folder in folders} == {0o777 & ~umask}


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.json")
    write_json(tmp_path / "link", {"a": 1})
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a.json").is_file()
    (tmp_path / "models").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "models") as folder:
        (folder / "b").touch()
    assert (tmp_path / "models").is_symlink() and names(tmp_path / "real") == ["b"]


def test_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(UserError, match="is a device or pipe, which is never written over"):
            write_json(tmp_path / name, {})
        with pytest.raises(UserError, match="--out .*: is a device or pipe"):
            check_output_file(tmp_path / name, "--out")
    assert (tmp_path / "pipe").is_fifo() and names(tmp_path) == ["link", "pipe"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "old").touch()
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "model") as folder:
        (folder / "new").touch()
        raise ZeroDivisionError
    assert (tmp_path / "a.json").read_text() == "1\n"
    assert names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["a.json", "model"]


def test_a_folder_takes_the_place_of_another_and_what_was_killed_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".model-0123456789ab"
    others = [".model-0123456789ab.txt", ".model-x", ".model-ab0123456789"]
    for name in (left.name, f"{left.name}.old", *others):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    for content in ("first", "second", "third"):
        if content == "third":  # where the system cannot exchange two folders
            monkeypatch.setattr("audiomatch.files._swap", lambda one, other: False)
        with held(tmp_path / others[-1]), atomic_folder(tmp_path / "model") as folder:
            (folder / "a").write_text(content)
        assert (tmp_path / "model" / "a").read_text() == content
        assert names(tmp_path) == sorted([*others, "model"])


@pytest.mark.parametrize(
    "refusal", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO]
)
def test_what_the_disk_refuses_is_a_user_error(tmp_path: Path, refusal: int) -> None:
    reason = os.strerror(refusal)
    for atomic in (atomic_file, atomic_folder):
        refused = pytest.raises(UserError, match=f"target: cannot be written: {reason}")
        with refused, atomic(tmp_path / "target"):
            raise OSError(refusal, reason)
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "model") as folder:
        (folder / "what the matcher forgot").read_bytes()  # a fault of the program stays one
    assert not names(tmp_path)


def test_outputs_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for target, reason in (
        (tmp_path / "file" / "p.csv", "file is not a folder"),
        (tmp_path / "file" / "deep" / "p.csv", "file is not a folder"),
        (tmp_path / "folder", "is a folder"),
    ):
        with pytest.raises(UserError, match=f"--out .*{reason}"):
            check_output_file(target, "--out")
    for target, reason in (
        (tmp_path / "file" / "r", "file is not a folder"),
        (tmp_path / "file", "is no folder"),
    ):
        for replaced in (False, True):
            with pytest.raises(UserError, match=f"--out .*{reason}"):
                check_output_folder(target, "--out", replaced=replaced)
    check_output_file(tmp_path / "new" / "er" / "p.csv", "--out")
    check_output_folder(tmp_path / "new" / "er", "--out")
    check_output_folder(tmp_path / "folder", "--out", replaced=True)
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
def test_a_file_system_that_takes_no_files_is_refused() -> None:
    with pytest.raises(UserError, match=r"--out /proc/p.csv: cannot be written: /proc: "):
        check_output_file(Path("/proc/p.csv"), "--out")
    with pytest.raises(UserError, match=r"--out /proc/a/b: cannot be written: /proc: "):
        check_output_folder(Path("/proc/a/b"), "--out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        check_output_file(tmp_path / "p.csv", "--out")
    tmp_path.chmod(0o700)


def test_home_is_expanded_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/one")
    assert user_path("~/p.csv") == Path("/home/one/p.csv")
    assert user_path("a/~/b") == Path("a/~/b")
    assert user_path("~no such user.wav") == Path("~no such user.wav")


def test_commands_refuse_an_output_before_they_read_the_data(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    assert command("fit", "toy", corpus, "--out", tmp_path / "model")[0] == 0
    (tmp_path / "file").touch()
    (corpus.parent / "000.wav").unlink()
    for arguments in (
        ("bench", corpus, "--matchers", "toy", "--out", tmp_path / "file" / "r"),
        ("fit", "toy", corpus, "--out", tmp_path / "file" / "m"),
        ("predict", tmp_path / "model", corpus, "--out", tmp_path / "file" / "p.csv"),
        ("explain", tmp_path / "model", corpus, "--out", tmp_path / "file" / "e.csv"),
    ):
        code, _, err = command(*arguments)
        assert code == 2 and err.count("\n") == 1, err
        assert "--out" in err and "file is not a folder" in err


def test_home_is_expanded_in_options_environment_and_manifest(
    plugin: Callable[..., Registry],
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin(toy=toy_plugin())
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AUDIOMATCH_CACHE", "~/cache")
    (home / "one.wav").write_bytes((corpus.parent / "000.wav").read_bytes())
    (here / "m.csv").write_text("audio,expected_text\n~/one.wav,moon\n")
    assert command("fit", "toy", corpus, "--out=~/model", "--cache=~/other")[0] == 0
    assert command("predict", "~/model", "m.csv", "--out=~/p.csv")[0] == 0
    assert names(home) == ["cache", "model", "one.wav", "other", "p.csv"]
    assert names(here) == ["m.csv"]


@pytest.mark.parametrize("data", ["..", ".", "../work/.."])
def test_the_run_folder_is_named_after_the_folder_that_the_path_stands_for(
    plugin: Callable[..., Registry],
    command: Command,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
) -> None:
    plugin(toy=toy_plugin())
    here = corpus.parent if data == "." else corpus.parent / "work"
    here.mkdir(exist_ok=True)
    monkeypatch.chdir(here)
    assert command("bench", data, "--matchers", "toy", "--folds", 2)[0] == 0
    assert names(here / "runs") == ["data"]
    assert (here / "runs" / "data" / "leaderboard.json").is_file()
