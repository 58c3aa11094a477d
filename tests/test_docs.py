from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd
import pytest
from pyarrow.parquet import read_schema

from audiomatch import hookspecs
from audiomatch.builtin import audiomatch_matchers
from audiomatch.cli import cli
from audiomatch.plugins import Registry, registry
from docs import build, pages
from tests.toys import toy_plugin

REFERENCE = build.DOCS / "reference"


def test_no_page_is_stale() -> None:
    assert not build.stale(), "run python docs/build.py"


def test_every_hook_command_and_option_is_documented() -> None:
    hooks = hookspecs.hooks()
    assert len(hooks) >= 4
    for name, hook in hooks.items():
        assert (hook.__doc__ or "").strip(), name
        assert f"## {name}\n" in (REFERENCE / "hooks.md").read_text()
    page = (REFERENCE / "commands.md").read_text()
    for name, command in cli.commands.items():
        assert (command.help or "").strip(), name
        assert f"## audiomatch {name}\n" in page
        for option in pages.options(command):
            assert re.match(r"[A-Z].*\.$|auto, ", option.help or ""), f"{name} {option.opts}"
            assert any(f"`{spelled}" in page or f", {spelled}" in page for spelled in option.opts)


def test_every_option_of_a_matcher_is_described() -> None:
    for name, section in pages.made_sections().items():
        config = registry().matchers()[name].matcher_type().Config
        for option, field in config.model_fields.items():
            says = field.description or ""
            # A sentence; one that explains values may begin with the first, as in "cnn: …".
            assert re.match(r"[A-Z]|[a-z-]+: ", says) and says.endswith("."), f"{name}@{option}"
            assert f"`{option}`" in section


def test_all_floors_have_a_section() -> None:
    assert {info.name for info in audiomatch_matchers()} <= set(pages.made_sections())


def test_an_undocumented_option_makes_the_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.option("--new")
    def fresh(new: str) -> None:
        """Do something new."""

    monkeypatch.setitem(cli.commands, "fresh", fresh)
    assert [page.name for page in build.stale()] == ["commands.md"]


def test_plugins_that_are_missing_or_foreign_do_not_change_a_page(
    plugin: Callable[..., Registry],
) -> None:
    page = (REFERENCE / "matchers.md").read_text()
    plugin(stranger=toy_plugin())  # and none of our plugins
    assert pages.matchers_page(page) == page
    assert "## whisper\n" in page and "## toy\n" not in page
    commands = (REFERENCE / "commands.md").read_text()
    assert pages.commands_page(commands) == commands and "## audiomatch serve\n" in commands


def test_a_changed_option_makes_the_matchers_page_stale() -> None:
    page = (REFERENCE / "matchers.md").read_text()
    assert pages.matchers_page(page.replace("Weight of the wider rate", "weight")) == page


def test_the_tutorial_shows_the_example() -> None:
    text = (build.DOCS / "tutorial" / "README.md").read_text()
    blocks = build.BLOCK.findall(text)
    assert len(blocks) >= 8
    assert text.count("```python") + text.count("```toml") == len(blocks)  # none by hand
    assert "def fit(self, train: Clips, run: Run)" in text


@pytest.mark.parametrize("page", build.WALKS, ids=lambda page: page.stem)
def test_code_that_is_not_the_example_s_is_replaced(page: Path) -> None:
    text = page.read_text()
    changed = text.replace("def test_contract(", "def test_other(")
    assert changed != text
    assert build.walk(changed, build.WALKS[page]) == text


def test_the_page_of_files_names_what_a_run_writes(
    command: Callable[..., tuple[int, str, str]], corpus: Path, tmp_path: Path
) -> None:

    page = (REFERENCE / "files.md").read_text()
    run = tmp_path / "run"
    assert command("bench", corpus, "--matchers", "prior", "--folds", 2, "--out", run)[0] == 0
    documents = [run / name for name in ("leaderboard.json", "folds.json", "run.json")]
    texts = {document: document.read_text() for document in documents}
    fold = next((run / "folds").iterdir())
    texts[fold] = read_schema(fold).metadata[b"audiomatch"]
    for document, text in texts.items():
        for key in json.loads(text):
            assert f"`{key}`" in page, f"{document.name}: {key}"
    for key in json.loads(documents[0].read_text())["rows"][0]:
        assert f"`{re.sub('_(low|high)$', '', key)}`" in page, key
    for column in pd.read_parquet(run / "predictions.parquet").columns:
        assert f"`{column}`" in page, column
    model = tmp_path / "model"
    assert command("fit", "prior", corpus, "--out", model)[0] == 0
    card = json.loads((model / "audiomatch.json").read_text())
    for key in (*card, *card["fit"]):
        assert f"`{key}`" in page, key
    for file in run.iterdir():
        assert file.name in page or file.name == "folds", file.name
