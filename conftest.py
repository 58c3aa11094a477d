"""A skipped test fails the run unless its reason is on a short list.

A test that a missing package turns off would look green for ever. The list holds what no install
can bring: hardware, the user who runs, a browser, weights that only a hub has, and a package whose
pins exclude ours.
"""

from __future__ import annotations

import gc
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

ALLOWED = re.compile(
    r"no CUDA device here|this machine has a GPU|root may write.*|no Chromium here"
    r"|laion-clap's own forward: laion-clap and torchlibrosa are not installed"
    r"|weights '.*': not in the hub's cache, and the hub is not reachable .*"
)
UNEXPLAINED = "xfail without a reason"


# Files of more than some 8 s of the CPU, the longest first: begun last, one would leave other cores
# idle. Those that wait long for processes stand higher.
LONG = (
    "test_contract.py",
    "test_bad_plugins.py",
    "test_whisper_contract.py",
    "test_how_to.py",
    "test_api.py",
    "test_testing.py",
    "test_ray.py",
    "test_new_plugin.py",
    "test_notebook.py",
    "test_whisper_weights.py",
    "test_ctc_matcher.py",
    "test_two_tower_matcher.py",
    "test_crossval.py",
    "test_probe.py",
    "test_phones_matcher.py",
    "test_kept_folds.py",
    "test_torch_ranks.py",
    "test_whisper_training.py",
    "test_devices.py",
    "test_whisper_lora.py",
    "test_whisper_matcher.py",
    "test_whisper_gpu.py",
    "test_boosting_matchers.py",
    "test_mlflow.py",
    "test_rerun.py",
    "test_clap_matcher.py",
    "test_scoring.py",
    "test_torch_checkpoints.py",
    "test_run_tables.py",
    "test_audit.py",
    "test_plugins.py",
    "test_ensemble.py",
    "test_report_page.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; `--no-loadscope-reorder` lets xdist keep to it."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def _frozen() -> set[str]:
    """Names of the modules that no collection of garbage looks at."""
    return set()


@pytest.fixture(autouse=True)
def _quick_collection(_frozen: set[str]) -> None:
    """Leave what was imported out of each collection: there is one before every job."""
    if not _frozen.issuperset(sys.modules):
        gc.collect()
        gc.freeze()
        _frozen.update(sys.modules)


class SkipGuard:
    """Collects skips whose reason is not allowed, and fails the session that has one."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}  # test or module, reason

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped or expectedly failed test."""
        if not report.skipped:
            return
        expected_failure: str | None = getattr(report, "wasxfail", None)
        if expected_failure is None:
            self._note(report)
        elif not expected_failure.removeprefix("reason: "):
            self.found[report.nodeid] = UNEXPLAINED

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a skipped module: `importorskip` at its top."""
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        assert isinstance(report.longrepr, tuple)  # file, line, reason
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not ALLOWED.fullmatch(reason):
            self.found[report.nodeid] = reason

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a run that passed into a failed one."""
        passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.found and passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List what was skipped."""
        if not self.found:
            return
        terminalreporter.section("skips that are not allowed", red=True, bold=True)
        for test, reason in sorted(self.found.items()):
            terminalreporter.line(f"{test}: {reason}")
        terminalreporter.line("Install what is missing, or add the reason to conftest.py.")


def pytest_configure(config: pytest.Config) -> None:
    """Guard the process that reports; workers of xdist report to it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipGuard(), "skip-guard")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., WebDriver]]:
    """Start Chromium without a window, with further arguments; its logs are read by `get_log`."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no Chromium here")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    with ExitStack() as stack:

        def start(*arguments: str) -> WebDriver:
            options = ChromeOptions()
            options.binary_location = program
            for argument in (
                "--headless=new",
                "--no-sandbox",  # as root it has none
                "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
                *arguments,
            ):
                options.add_argument(argument)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
            return stack.enter_context(Chrome(options, Service(driver)))

        yield start
