"""The notebook of the Python face, cell by cell."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from docs.build import DOCS


@pytest.mark.plugins
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMATCH_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(DOCS / "python" / "audiomatch.ipynb", as_version=4)
    # Fewer clips than a reader sees: most of the time goes into their features.
    for many, few in (("limit=150", "limit=60"), ("[:200])", "[140:200])")):
        assert any(many in cell.source for cell in notebook.cells)
        for cell in notebook.cells:
            cell.source = cell.source.replace(many, few)
    shown = [len(cell.get("outputs", [])) for cell in notebook.cells]
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises for a cell that does
    assert [len(cell.get("outputs", [])) for cell in notebook.cells] == shown
    assert (tmp_path / "runs" / "mini-screener" / "report.html").is_file()
