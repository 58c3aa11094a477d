"""Labels that a person marked as wrong, in a table that `bench --labels` takes."""

from __future__ import annotations

import csv
import getpass
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError
from audiomatch.files import atomic_file
from audiomatch.relabelling import COLUMNS


class Marks:
    """The clips of which a label is wrong, each with the right one; written down at each change.

    Attributes:
        labels: those of the run, by id.
        rows: by id, the row of the table.
    """

    def __init__(self, file: Path, labels: Mapping[str, int]) -> None:
        """Go on with `file` where it is there; `labels` are those of the run, by id.

        Raises `UserError` for a file that is no such table.
        """
        self._file, self.labels = file, labels
        self.rows: dict[str, dict[str, str]] = {}
        if file.exists():
            table = read_table(file).astype(str)
            if list(table.columns) != list(COLUMNS):
                raise UserError(f"{file}: is no table of marks: needs {', '.join(COLUMNS)}")
            rows = [dict(zip(COLUMNS, map(str, row), strict=True)) for row in table.to_numpy()]
            self.rows = {row["id"]: row for row in rows}

    def put(self, name: str) -> None:
        """Mark the label of a clip as wrong."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = name, str(1 - self.labels[name]), _user(), now
        self._write({**self.rows, name: dict(zip(COLUMNS, values, strict=True))})

    def remove(self, name: str) -> None:
        """Take a mark back."""
        self._write({key: row for key, row in self.rows.items() if key != name})

    def _write(self, rows: dict[str, dict[str, str]]) -> None:
        if rows:
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
            with atomic_file(self._file) as temporary:
                temporary.write_text(text.getvalue(), encoding="utf-8")
        else:
            self._file.unlink(missing_ok=True)
        self.rows = rows


def _user() -> str:
    """Return who runs the server; empty where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
