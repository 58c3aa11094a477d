"""The base class of records, and how they are read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audiomatch.errors import UserError, brief
from audiomatch.files import read_regular, write_json

SCHEMA_VERSION = 1  # raise it where a field changes its name, type or meaning

FoldStatus = Literal["done", "failed", "skipped"]
RowStatus = Literal["done", "partial", "failed", "skipped"]
Verdict = Literal["better", "worse", "equivalent", "undecided"]


class OtherVersionError(UserError):
    """A record of an older or a newer layout."""


class Record(BaseModel):
    """A frozen record; its fields are checked when it is made and when it is read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


class FileRecord(Record):
    """A record that is a JSON file of its own."""

    VERSION: ClassVar[int] = SCHEMA_VERSION
    HINT: ClassVar[str] = ""  # what can be done about a file of another version

    schema_version: int = Field(
        default=SCHEMA_VERSION,
        description="the layout of the file; one of another version is refused",
    )

    def write(self, file: Path) -> None:
        """Write it as JSON, whole or not at all; NaN and infinity are refused."""
        write_json(file, self.model_dump(mode="json"))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote. Raises `UserError` for a file that is anything else."""
        try:
            content = read_regular(file)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from None
        return cls.parse(content, file)

    @classmethod
    def parse(cls, data: bytes, file: Path) -> Self:
        """Take the JSON that `file` holds. Raises `UserError`, naming it, for anything else."""
        try:
            text = data.decode()
            content = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise UserError(f"{file}: is no JSON, or was cut short") from None
        found = content.get("schema_version") if isinstance(content, dict) else None
        if found != cls.VERSION:
            said = "no schema_version" if found is None else f"schema_version {brief(found)}"
            hint = f" ({cls.HINT})" if cls.HINT else ""
            kind = UserError if found is None else OtherVersionError
            raise kind(f"{file}: has {said}; this release reads {cls.VERSION}{hint}")
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise UserError(f"{file}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, and where, in one line."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
