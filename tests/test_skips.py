from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
GUARD = Path(__file__).parents[1] / "conftest.py"
PASSES = "def test_passes():\n    pass\n"


@pytest.fixture
def guarded(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of its own with the guard."""
    pytester.makeconftest(GUARD.read_text(encoding="utf-8"))
    return pytester


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import pytest\npytest.importorskip('no_such_module')\n", "could not import"),
        (
            "import pytest\ndef test_it():\n    pytest.importorskip('no_such_module')\n",
            "test_it: could not import",
        ),
        (
            "import pytest\n@pytest.mark.skip(reason='flaky')\ndef test_it():\n    pass\n",
            "test_it: flaky",
        ),
        ("import pytest\n@pytest.mark.skip\ndef test_it():\n    pass\n", "unconditional skip"),
        (
            "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n",
            "test_it: xfail without a reason",
        ),
    ],
)
def test_a_skip_fails_the_run(
    guarded: pytest.Pytester, source: str, reason: str, workers: tuple[str, ...]
) -> None:
    guarded.makepyfile(test_good=PASSES, test_other=source)
    result = guarded.runpytest_subprocess(*workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*skips that are not allowed*", f"test_other.py*{reason}*"])


def test_allowed_skips_and_explained_failures_pass(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(
        """
        import pytest

        @pytest.mark.skip(reason="this machine has a GPU")
        def test_elsewhere():
            pass

        @pytest.mark.xfail(reason="libsndfile cuts the last frame")
        def test_known():
            assert False
        """
    )
    result = guarded.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*skips that are not allowed*")
