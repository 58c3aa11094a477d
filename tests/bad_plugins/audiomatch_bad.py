"""A plugin whose matcher misbehaves as its option says, and one that behaves."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from audiomatch import Matcher, MatcherInfo, Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.files import atomic_file
from audiomatch.progress import LineProgress


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    return [
        MatcherInfo("good", "", "audiomatch_bad:Good"),
        MatcherInfo("bad", "", "audiomatch_bad:Bad"),
        MatcherInfo("bad-import", "", "audiomatch_bad_import:Bad"),
        MatcherInfo("no-package", "", "audiomatch_no_package:Bad"),
    ]


class GoodConfig(MatcherConfig):
    """No options."""


class Good(Matcher):
    """Draws numbers by the seed; what others left behind would move them."""

    Config: Any = GoodConfig

    def fit(self, train: Clips, run: Run) -> None:
        random.seed(run.seed)
        np.random.seed(run.seed)
        self.weights = np.random.normal(size=3).astype(np.float32)
        with run.progress.task("good", total=len(train)) as task:
            for _ in range(len(train)):
                task.advance()
        run.progress.say("good has learned")

    def predict(self, clips: Clips, run: Run) -> Any:
        features = np.asarray([[len(t), len(t.split()), s] for t, s in self._rows(clips)])
        return 1 / (1 + np.exp(-(features.astype(np.float32) @ self.weights) / 10))

    def _rows(self, clips: Clips) -> Any:
        return zip(clips.texts, clips.seconds, strict=True)

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


class BadConfig(MatcherConfig):
    """What it does."""

    how: str = Field("", description="what it does")
    size: int = Field(1, ge=1, le=9, description="of no use")


class OddError(Exception):
    def __init__(self, one: object, other: object) -> None:
        super().__init__("cannot be pickled again", threading.Lock())


class BaseError(BaseException):
    pass


class Text(str):
    """A string of its own type, which the parent is not to import."""


def odd_error() -> None:
    raise OddError(1, 2)


def base_error() -> None:
    raise BaseError("out of the tree")


def recursion() -> None:
    recursion()


def suicide() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_in_thread() -> None:
    threading.Thread(target=os._exit, args=(7,)).start()
    time.sleep(60)


def hang() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(600)  # with the interpreter's lock


def grow() -> None:
    held = np.ones(75_000_000)
    time.sleep(60)
    del held


def fork_and_return() -> None:
    if os.fork() == 0:
        print("a fork goes on")


def forked_crash() -> None:
    if os.fork() == 0:
        time.sleep(600)  # it holds every pipe of the worker
    os._exit(4)


def close_everything() -> None:
    os.closerange(0, 512)


def print_garbage() -> None:
    print('{"rows": []}')
    os.write(1, b'{"rows": []}\n')
    subprocess.run(["echo", '{"rows": []}'])
    print("garbage", file=sys.stderr)


def read_stdin() -> None:
    assert sys.stdin.read() == "" and os.read(0, 9) == b""


def change_state() -> None:
    os.chdir("/")
    os.environ.clear()
    os.environ["PYTHONPATH"] = "/nowhere"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    random.seed(1)
    np.random.seed(1)
    np.seterr(all="raise")
    import pandas as pd

    pd.options.display.max_rows = 1
    np.float64 = np.float32  # type: ignore[assignment, misc]
    sys.setrecursionlimit(200)
    sys.path.clear()


def leave_thread() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


FIT: dict[str, Callable[[], object]] = {
    "odd-error": odd_error,
    "base-error": base_error,
    "recursion": recursion,
    "sys-exit": lambda: sys.exit(3),
    "os-exit": lambda: os._exit(3),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "suicide": suicide,
    "exit-in-thread": exit_in_thread,
    "hang": hang,
    "grow": grow,
    "fork-and-return": fork_and_return,
    "forked-crash": forked_crash,
    "close-everything": close_everything,
    "print-garbage": print_garbage,
    "read-stdin": read_stdin,
    "change-state": change_state,
    "leave-thread": leave_thread,
}
PREDICT: dict[str, Callable[[Any], object]] = {
    "nan": lambda p: p * np.nan,
    "out-of-range": lambda p: p + 1,
    "too-short": lambda p: p[1:],
    "none": lambda p: None,
    "words": lambda p: ["likely"] * len(p),
}


def _is_first(mark: Path) -> bool:
    """Whether this is the first call with a file, which is there from then on."""
    first = not mark.exists()
    mark.touch()
    return first


class Bad(Good):
    """Does what `how` says."""

    Config = BadConfig

    def __init__(self, config: BadConfig) -> None:
        super().__init__(config)
        if config.how == "init-raises":
            raise RuntimeError("not made")
        if config.how == "init-exits":
            os._exit(5)

    def fingerprint(self) -> dict[str, str]:
        if self.config.how == "no-weights":
            raise UserError("no weights 'x'")
        if self.config.how == "fingerprint-segfault":
            ctypes.string_at(0)
        return {}

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        if self.config.how == "refuses-exits":
            os._exit(6)
        return super().refuses(clips, run)

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        how = self.config.how
        if how == "own-str":
            run.note(own=Text("x"))
            raise RuntimeError("with a note")
        if how == "bad-total":
            LineProgress.__reduce__ = None  # type: ignore[assignment, method-assign]
            with run.progress.task("bad", total="many"):  # type: ignore[arg-type]
                pass
        if how == "spoil-clips":
            train.frame["expected_text"] = "spoiled"
            train.frame.drop(train.frame.index[3:], inplace=True)
            train.known.clear()
        if how.startswith("wait:"):
            self._wait(Path(how.removeprefix("wait:")), run)
        if how.startswith("once:") and _is_first(Path(how.removeprefix("once:"))):
            os._exit(9)
        if how.startswith("leave-child:"):
            child = subprocess.Popen(["sleep", "600"])
            Path(how.removeprefix("leave-child:")).write_text(str(child.pid))
        FIT.get(how, lambda: None)()

    def _wait(self, told: Path, run: Run) -> None:
        """Wait in the second fold, with a child and a file half written, and tell of both."""
        if _is_first(told.with_suffix(".once")):
            return
        child = subprocess.Popen(["sleep", "600"])
        with atomic_file(run.cache / "half.bin") as half:
            half.write_bytes(b"half")
            with atomic_file(told) as file:
                file.write_text(f"{os.getpid()} {child.pid}")
            time.sleep(600)

    def predict(self, clips: Clips, run: Run) -> Any:
        return PREDICT.get(self.config.how, lambda p: p)(super().predict(clips, run))
