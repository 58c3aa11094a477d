"""A finished fold as a file: a Parquet table of its numbers, its record in the file's metadata."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet
from pydantic import ValidationError

from audiomatch.errors import UserError
from audiomatch.files import atomic_file, read_regular
from audiomatch.records import FoldResult, KeptFold, first_problem
from audiomatch.running.identity import digest_of

RECORD = b"audiomatch"  # the key of the record in the metadata
COLUMNS = pyarrow.schema([("id", pyarrow.string()), ("p_match", pyarrow.float64())])


def write_fold(file: Path, key: str, result: FoldResult) -> None:
    """Write a fold under its key, whole or not at all."""
    kept = KeptFold(**dict(result.summary()), key=key, seal="")
    kept = kept.model_copy(update={"seal": _seal(kept, result.ids, result.p_match)})
    table = pyarrow.table([result.ids, result.p_match], schema=COLUMNS)
    record = json.dumps(kept.model_dump(mode="json"), ensure_ascii=False, allow_nan=False)
    with atomic_file(file) as temporary:
        parquet.write_table(table.replace_schema_metadata({RECORD: record}), temporary)


def read_fold(file: Path) -> tuple[KeptFold, FoldResult]:
    """Read what `write_fold` wrote. Raises `UserError` for a file that is anything else."""
    try:
        table = parquet.read_table(io.BytesIO(read_regular(file)))
        table.validate(full=True)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = getattr(error, "strerror", None) or "it is no Parquet, or was damaged"
        raise UserError(f"{file}: cannot be read ({why})") from None
    kept = KeptFold.parse((table.schema.metadata or {}).get(RECORD, b""), file)
    if not table.schema.equals(COLUMNS) or any(column.null_count for column in table.columns):
        raise UserError(f"{file}: its columns are not those of a fold")
    ids, p_match = (column.to_pylist() for column in table.columns)
    if kept.seal != _seal(kept, ids, p_match):
        raise UserError(f"{file}: was changed after it was written")
    try:
        return kept, kept.result(ids, p_match)
    except ValidationError as error:
        raise UserError(f"{file}: {first_problem(error)}") from None


def _seal(kept: KeptFold, ids: Sequence[str], p_match: Sequence[float]) -> str:
    """Return the SHA-256 of all of a kept fold but its seal."""
    digest = hashlib.sha256(digest_of(kept.model_dump(mode="json", exclude={"seal"})).encode())
    digest.update(json.dumps(ids).encode())
    digest.update(np.asarray(p_match, "<f8").tobytes())
    return digest.hexdigest()
