"""The command line and its one error boundary."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

import audiomatch
from audiomatch.commands import COMMANDS
from audiomatch.commands.group import CommandGroup
from audiomatch.commands.stopping import kept_after
from audiomatch.distributions import stranger
from audiomatch.errors import DataWarning, RenamedWarning, UserError, printable, shortened
from audiomatch.files import REFUSALS
from audiomatch.hookspecs import DISTRIBUTION, PROJECT
from audiomatch.machine import wait_passively
from audiomatch.offers import import_object


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(audiomatch.__version__)
def cli() -> None:
    """Does this recording say this text, and which model tells it best?

    A matcher is named NAME[:PRESET][@key=value]…, as in whisper:baseline@epochs=1.
    """


for name, path in COMMANDS.items():
    cli.add_command(import_object(path), name)


def main() -> None:
    """Run the command line.

    Exit code 0, 1 (a matcher or fold failed), 2 (bad input), or 130, 143 and 129 for a stop by
    SIGINT, SIGTERM and SIGHUP.
    """
    _open_closed_streams()
    warnings.showwarning = _show_warning
    _warn_of_stranger()
    wait_passively()
    stopped = [signal.SIGINT]
    try:
        _check_folder()
        with _stopping_alike(stopped):
            code = cli(standalone_mode=False)
    except UserError as error:
        code = _say(str(error), 2)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        code = _say(error.format_message().rstrip(".") + hint, 2)
    except (KeyboardInterrupt, click.Abort) as error:
        code = _say(f"stopped; {kept_after(error)}", 128 + stopped[-1])
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        if error.errno not in REFUSALS or error.filename is not None:
            raise
        code = _say(f"the answer cannot be written: {error.strerror}", 2)
        sys.stdout = None  # what it still holds is not tried again at the end
    sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """Let standard streams that the caller closed lead nowhere: no other file takes their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _check_folder() -> None:
    try:
        os.getcwd()  # noqa: PTH109 - Path's own is the same
    except OSError as error:
        raise UserError(f"the current folder: {error.strerror}; go to one that is there") from None


@contextmanager
def _stopping_alike(stopped: list[signal.Signals]) -> Iterator[None]:
    """Stop by SIGTERM and SIGHUP as by Ctrl-C, so that what is left behind is as clean.

    `stopped` gets the signal; others that follow, as when a terminal is closed, do not break off
    the cleaning. A signal that is ignored stays so, as nohup wants it.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [signal.Signals[name] for name in names]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    taken = [number for number in taken if signal.getsignal(number) is signal.SIG_DFL]

    def stop(number: int, _frame: object) -> None:
        stopped.append(signal.Signals(number))
        for other in taken:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _show_warning(
    message: Warning | str, category: type[Warning], *where: Any, **more: Any
) -> None:
    if issubclass(category, RenamedWarning | DataWarning):
        _say(str(message), 0)
    else:
        _show_other_warning(message, category, *where, **more)


_show_other_warning = warnings.showwarning


def _warn_of_stranger() -> None:
    version = stranger()
    if version is not None:
        _say(
            f"another program, the distribution {PROJECT!r} {version}, is installed here too, and "
            f"the two overwrite each other's files: pip uninstall {PROJECT} {DISTRIBUTION}, then "
            f"pip install {DISTRIBUTION}",
            0,
        )


def _say(line: str, code: int) -> int:
    line = printable(" ".join(line.split()))
    print(f"audiomatch: {shortened(line)}", file=sys.stderr)
    return code
