"""Models published on the Hugging Face hub, and loaded from it, by a server in its place."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import audiomatch
from audiomatch import UserError
from audiomatch.errors import DataWarning
from audiomatch.hub import push_model
from audiomatch.model import CARD
from tests.hub_server import TOKEN, Hub, Repo
from tests.markdown import ROOT, SHELL, blocks, commands

COMMIT = "f6fec89369c245e8d5e0ee4976ee047c0eee08d0"  # of the page on publishing
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    server.use(tmp_path / "hub", monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.stop()


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    return audiomatch.fit("audio-only", corpus).save(tmp_path / "model")


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.*")}


def test_a_model_that_was_pushed_predicts_the_same(
    command: Command, hub: Hub, model: Path, corpus: Path, tmp_path: Path
) -> None:
    (model / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    code, out, err = command("push", model, "owner/name", "--json")
    assert code == 0, err
    commit = json.loads(out)["commit"]
    repository = hub.repos["models/owner/name"]
    assert repository.commits[commit] == files_of(model) | {".gitattributes": b""}
    assert not repository.private and repository.branches["main"] == commit

    found = audiomatch.load("hf:owner/name")
    assert (found.predict(corpus) == audiomatch.load(model).predict(corpus)).all()
    assert found.name == found.card.origin == f"hf:owner/name@{commit}"
    again = found.save(tmp_path / "again")
    assert audiomatch.load(again).card.origin == found.card.origin
    assert f"hf:owner/name@{commit}" in (again / "README.md").read_text()

    tables = []
    for number, place in enumerate((model, "hf:owner/name", Path("hf://owner/name@main"))):
        out_file = tmp_path / f"{number}.csv"
        assert command("predict", place, corpus, "--out", out_file)[0] == 0
        tables.append(out_file.read_text())
    assert tables[0] == tables[1] == tables[2]
    code, out, err = command("evaluate", "hf:owner/name", corpus, "--json")
    assert code == 0 and json.loads(out)["rows"][0]["matcher"] == found.name, err


def test_the_page_on_publishing_is_right(
    command: Command, hub: Hub, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus.parent)
    for name in ("clips.csv", "new.csv", "other.csv"):
        Path(name).write_text(corpus.read_text())
    page = ROOT / "docs" / "how-to" / "publish.md"
    typed = [one for code in blocks(page, *SHELL) for one in commands(code)]
    assert [one[0] for one in typed] == ["fit", "push", "predict", "evaluate"]
    commits = hub.repos.setdefault("models/owner/name", Repo(private=True)).commits
    commits[COMMIT] = {}
    hub.repos["models/owner/name"].branches["main"] = COMMIT
    for arguments in typed:
        told = ["audio-only" if one == "xgboost" else one for one in arguments]
        code, _, err = command(*told)
        assert code == 0, err
        commits[COMMIT] = commits[hub.repos["models/owner/name"].branches["main"]]


def test_a_branch_and_a_commit_are_taken(hub: Hub, model: Path, corpus: Path) -> None:
    first = push_model(model, "owner/name")
    other = audiomatch.fit("prior", corpus).save(model)
    second = push_model(other, "owner/name", revision="v2")
    names = {n: audiomatch.load(f"hf:owner/name{n}").card.matcher for n in ("", "@v2")}
    assert names == {"": "audio-only", "@v2": "prior"}
    assert audiomatch.load(str(first)).card.matcher == "audio-only"
    assert second.revision == hub.repos["models/owner/name"].branches["v2"]


def test_files_of_a_former_model_are_not_left(hub: Hub, model: Path) -> None:
    repository = hub.repos["models/owner/name"] = Repo()
    repository.commit({CARD: b"{}", "trees/former.txt": b"x", ".gitattributes": b""})
    pushed = push_model(model, "owner/name")
    left = repository.commits[str(pushed.revision)]
    assert left == files_of(model) | {".gitattributes": b""}


def test_a_private_repository_stays_so(
    hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_model(model, "owner/name", private=True)
    assert hub.repos["models/owner/name"].private
    push_model(model, "owner/name", private=True)
    assert audiomatch.load("hf:owner/name").card.matcher == "audio-only"
    hub.repos["models/owner/unseen"] = hub.repos["models/owner/name"]
    monkeypatch.setenv("HF_TOKEN", "another")
    with pytest.raises(UserError, match="no such model, or shows it to its members alone"):
        audiomatch.load("hf:owner/unseen")
    hub.repos["models/owner/name"].private = False
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UserError, match="is public already"):
        push_model(model, "owner/name", private=True)


def test_what_the_cache_holds_is_loaded_offline(
    hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push_model(model, "owner/name")
    audiomatch.load("hf:owner/name")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert audiomatch.load("hf:owner/name").name == str(pushed)
    assert not hub.asked
    with pytest.raises(UserError, match="not in the hub's cache"):
        audiomatch.load("hf:owner/another")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        push_model(model, "owner/name")


def test_only_what_the_card_lists_is_fetched_and_it_is_checked(hub: Hub, model: Path) -> None:
    push_model(model, "owner/name")
    files = files_of(model)
    hub.repos["models/owner/name"].commit({**files, "LICENSE": b"", "large.bin": b"x"})
    assert audiomatch.load("hf:owner/name").card.matcher == "audio-only"
    assert not any("LICENSE" in path or "large.bin" in path for path in hub.asked)
    changed = next(name for name in files if name not in (CARD, "README.md"))
    hub.repos["models/owner/name"].commit({**files, changed: b"{}"})
    with pytest.raises(UserError, match="has changed since the model was saved"):
        audiomatch.load("hf:owner/name")


def test_no_other_repository_is_written_over(hub: Hub, model: Path) -> None:
    theirs = hub.repos["models/owner/theirs"] = Repo()
    theirs.commit({"model.safetensors": b"x", "README.md": b""})
    with pytest.raises(UserError, match="hf:owner/theirs: holds files that are not a model"):
        push_model(model, "owner/theirs")
    assert len(theirs.commits) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:owner/missing", "hf:owner/missing: the hub has no such model"),
        ("hf:owner/theirs", f"is no model of audiomatch ({CARD} is missing)"),
        ("hf:owner/theirs@gone", "has no revision 'gone'"),
        ("hf:theirs", "must be hf:owner/name, or hf:owner/name@revision"),
        ("hf:owner/theirs@", "must be hf:owner/name"),
        ("hf:" + "a" * 9_000, "must be hf:owner/name"),
        ("hf:owner/a..b", "hf:owner/a..b: "),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    command: Command, hub: Hub, corpus: Path, name: str, says: str
) -> None:
    hub.repos["models/owner/theirs"] = Repo()
    hub.repos["models/owner/theirs"].commit({"model.safetensors": b"x"})
    code, _, err = command("predict", name, corpus, "--out", "p.csv")
    assert code == 2 and says in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{corpus}", "owner/name"), "not a model folder"),
        (("nowhere", "owner/name"), "not a model folder"),
        (("{model}", "name"), "'name': must be owner/name"),
        (("{model}", "hf:owner/name"), "must be owner/name"),
        (("{model}", "owner/name", "--revision", "a b"), "must be the name of a branch"),
        (("{model}", "others/name"), "hf auth login"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(
    command: Command, hub: Hub, model: Path, corpus: Path, arguments: tuple[str, ...], says: str
) -> None:
    told = [one.format(model=model, corpus=corpus.parent) for one in arguments]
    code, _, err = command("push", *told)
    assert code == 2 and says in err and err.count("\n") == 1, err
    assert not hub.repos


def test_a_push_without_a_token_or_a_hub_is_one_line(
    hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "another")
    with pytest.raises(UserError, match=r"the hub refuses \(.*\(hf auth login\)$") as caught:
        push_model(model, "owner/name")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="the hub is not reachable") as caught:
        push_model(model, "owner/name")
    assert "\n" not in str(caught.value)


def test_a_header_that_is_no_yaml_and_a_file_that_changed_are_not_published(
    hub: Hub, model: Path
) -> None:
    (model / "README.md").write_text("---\n[\n---\n")
    with pytest.raises(UserError, match=r"README\.md.* is no YAML"):
        push_model(model, "owner/name")
    (model / "README.md").unlink()
    changed = next(name for name in files_of(model) if name != CARD)
    (model / changed).write_text("{}")
    with pytest.raises(UserError, match="has changed since the model was saved"):
        push_model(model, "owner/name")


def test_folders_of_this_machine_in_the_record_are_named(hub: Hub, model: Path) -> None:
    text = (model / CARD).read_text()
    (model / CARD).write_text(text.replace('"skipped": []', '"skipped": ["/home/jane/a.wav"]'))
    with pytest.warns(DataWarning, match=r"audiomatch\.json: names folders of this machine"):
        push_model(model, "owner/name")


def test_without_the_hub_s_library_it_says_what_to_install(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for act in (lambda: audiomatch.load("hf:owner/name"), lambda: push_model(model, "owner/name")):
        with pytest.raises(UserError, match=r"needs pip install 'audiomatch-toolkit\[hub\]'"):
            act()
