"""Loading without the libraries' own bars and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging as _logging

logging: Any = _logging  # without types


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hide transformers' bars and warnings: what matters is raised, or shown by `run.progress`."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
