from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import audiomatch.testing.training
from audiomatch import Matcher, MatcherInfo, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.errors import cause_of
from audiomatch.plugins import Registry
from audiomatch.testing import ContractError, check_matcher, run_checks
from audiomatch.testing.corpus import make_edges, make_toy
from audiomatch.testing.registry import CHECKS
from tests import broken_matchers as broken
from tests.toys import toy_plugin

Command = Callable[..., tuple[int, str, str]]

FAILS: list[tuple[str, type[Matcher], str]] = [
    ("unfitted", broken.PredictsUnfitted, "predict of a new matcher raises nothing; begin it with"),
    ("unfitted", broken.SavesNothing, "save of a new matcher raises AttributeError.*self.fitted"),
    ("probabilities", broken.NaN, "nan"),
    ("probabilities", broken.OutOfRange, r"must be in \[0, 1\]"),
    ("probabilities", broken.WrongShape, "shape"),
    ("predict-twice", broken.Dropout, "predicting again moves clip"),
    ("row-order", broken.OrderDependent, "another order"),
    ("row-order", broken.LeakyRows, "another order"),
    ("batch-mates", broken.BatchDependent, "other batch mates"),
    ("batch-mates", broken.LeakyRows, "other batch mates"),
    ("one-clip", broken.BatchDependent, "predicting it alone"),
    ("one-clip", broken.NotAlone, "TypeError: .*broken_matchers.py:"),
    ("learns", broken.Learnless, "at most 0.555 would do"),
    ("text-matters", broken.Deaf, "swapped texts move no prediction"),
    ("spellings", broken.KnowsById, "another spelling of its text moves clip"),
    ("explain-spellings", broken.KnowsById, "another spelling of its text moves clip"),
    ("same-seed", broken.Unseeded, "fitting again with the same seed"),
    ("same-seed", broken.GlobalRandom, "fitting again with the same seed"),
    ("no-leak", broken.Peeks, "scrambling the held-out labels"),
    ("facts", broken.NotesSets, "the note 'tasks' is no JSON"),
    ("clips", broken.TurnsLabels, "fit changes the match of its clips; change a copy"),
    ("clips", broken.EmptiesTexts, "predict changes the expected_text of its clips"),
    ("clip-of-0.1-s", broken.NeedsFrames, "no frames"),
    ("clip-of-29.9-s", broken.TenSeconds, "ValueError"),
    ("silence", broken.DividesByLevel, "nan"),
    ("clipping", broken.RefusesClipping, "too loud"),
    ("non-ascii", broken.AsciiOnly, "UnicodeEncodeError"),
    ("fits-edges", broken.CannotFitSilence, "log of zero"),
    ("cpu", broken.NoCpu, "only CUDA will do"),
    ("options", broken.Lax, "does not exist, 'no_such_option', is accepted"),
    ("options", broken.Clamping, "'strength' accepts 0"),
    ("options", broken.Rangeless, "'rounds' is a number and declares no range"),
    ("options", broken.BadDefault, "its own preset is refused: .*'rounds'"),
    ("save-load", broken.ForgetsOnSave, "saving and loading moves clip"),
    ("save-load", broken.KeepsInMemory, "in a new process: KeyError: 'weights'"),
    ("stray-files", broken.WritesInCwd, "work/training.log"),
    ("stray-files", broken.WritesInHome, r"home/\.sound"),
    ("stray-files", broken.WritesBesideClips, r"toy/.*\.npy"),
    ("stray-files", broken.WritesFar, r"\.stray-"),
    ("stray-files", broken.LeavesTemporary, "tmp/tmp"),
    ("stray-files", broken.WritesNatively, "work/native.wav"),
    ("explain", broken.SaysOtherWords, "words that are not those of the text"),
    ("explain", broken.TimesFall, "the time "),
    ("explain", broken.TimesAfterTheClip, "a word ends at .* in a clip of"),
    ("explain", broken.SureBeyondOne, "the probability 1.5"),
    ("explain", broken.ExplainsAnother, "explaining moves clip"),
    ("explain", broken.ExplainsNaN, "p_match is nan"),
    ("explain", broken.ExplainsAtRandom, "explained again, probability of"),
]


@pytest.mark.parametrize(("name", "matcher", "reason"), FAILS)
def test_a_broken_matcher_fails_its_check(name: str, matcher: type[Matcher], reason: str) -> None:
    with pytest.raises(ContractError, match=reason) as caught:
        check_matcher(matcher, only=[name])
    (result,) = caught.value.report.results
    assert (result.check, result.status) == (name, "failed")


def test_every_check_is_shown_to_fail() -> None:
    shown = {name for name, _, _ in FAILS}
    assert set(CHECKS) - shown == {"columns", "cuda", "light-entry"}  # shown below


def test_a_sound_matcher_passes_and_skips_are_counted_apart() -> None:
    report = check_matcher(broken.Sound)
    skipped = {result.check: result.reason for result in report.results_of("skipped")}
    assert skipped.pop("light-entry") == "no installed plugin offers this class"
    for name in ("explain", "explain-spellings"):
        assert skipped.pop(name) == "it does not say that it explains"
    assert skipped.pop("columns") == "it declares no columns, and is given none"
    skipped.pop("cuda", None)  # where there is none
    assert not skipped
    assert len(report.results_of("passed")) + len(report.results_of("skipped")) == len(CHECKS)
    assert f"{len(report.results_of('passed'))} passed, 0 failed" in report.summary


def test_a_matcher_that_explains_passes() -> None:
    for result in check_matcher(broken.Explains, only=["explain", "explain-spellings"]).results:
        assert result.status == "passed" and "clips" in result.reason


def test_skip_leaves_out_and_expected_failures_are_told_apart() -> None:
    reasons = {"text-matters": "listens only", "one-clip": "thought to fail"}
    report = run_checks(
        broken.Deaf,
        only=["text-matters", "one-clip", "cpu"],
        skip=["cpu"],
        expected_failures=reasons,
    )
    assert [(r.check, r.status) for r in report.results] == [
        ("one-clip", "failed"),
        ("text-matters", "xfailed"),
    ]
    assert report.results[0].reason == "it was expected to fail (thought to fail), and passes"
    assert report.results[1].reason.startswith("listens only (swapped texts move no prediction")
    assert report.summary == "2 checks: 0 passed, 1 failed, 0 skipped, 1 xfailed"
    assert report.to_json()["xfailed"] == 1
    for wrong in ({"skip": ["cpy"]}, {"expected_failures": {"cpy": ""}}):
        with pytest.raises(UserError, match="no check 'cpy'; did you mean 'cpu'"):
            run_checks(broken.Sound, **wrong)  # type: ignore[arg-type]


PARAMETRIZED = """
import pytest
from audiomatch.testing import parametrize_with_checks
from tests import broken_matchers as broken

SKIP = ["stray-files", "save-load", "same-seed", "no-leak"]

@parametrize_with_checks([broken.Deaf, "base-rate"], skip=SKIP,
    expected_failures={"text-matters": "listens only", "one-clip": "thought to fail"})
def test_contract(matcher, check):
    check(matcher)

@pytest.fixture(scope="module")
def strength():
    return 2

@parametrize_with_checks(["prior"], skip=SKIP)
def test_completed(matcher, check, strength):
    check(f"{matcher}@strength={strength}")
"""


def test_as_parameters_of_a_test(tmp_path: Path) -> None:
    (tmp_path / "test_made.py").write_text(PARAMETRIZED)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=tmp_path,
    )
    lines = ran.stdout.splitlines()
    assert "XFAIL test_made.py::test_contract[deaf-text-matters]" in ran.stdout, ran.stdout
    failed = [line for line in lines if line.startswith("FAILED")]
    assert any("[deaf-one-clip]" in line for line in failed)
    assert "was expected to fail (thought to fail)" in ran.stdout
    assert "PASSED test_made.py::test_contract[base-rate-probabilities]" in ran.stdout
    assert "PASSED test_made.py::test_completed[prior-unfitted]" in ran.stdout
    for left_out in ("stray-files", "base-rate-learns", "deaf-light-entry", "deaf-explain"):
        assert left_out not in ran.stdout


def test_cache_and_temporary_folders_may_be_used() -> None:
    check_matcher(broken.Tidy, only=["stray-files"])


def test_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiomatch.testing.training, "resolve_device", lambda name: "cpu")
    (result,) = run_checks(broken.NoCuda, only=["cuda"]).results
    assert (result.status, result.reason) == ("skipped", "no CUDA device here")
    monkeypatch.setattr(audiomatch.testing.training, "resolve_device", lambda name: "cuda")
    (result,) = run_checks(broken.NoCuda, only=["cuda"]).results
    assert result.status == "failed" and "only a CPU will do" in result.reason
    (result,) = run_checks(broken.Sound, only=["cuda"]).results
    assert result.status == "passed"


def test_a_failing_fit_fails_what_needs_it_and_the_others_go_on() -> None:
    report = run_checks(broken.NoCpu, only=["probabilities", "learns", "options"])
    statuses = {result.check: result.status for result in report.results}
    assert statuses == {"probabilities": "failed", "learns": "failed", "options": "passed"}


def test_what_a_matcher_says_it_ignores_is_held_against_it() -> None:
    def of(matcher: type[Matcher], *ignores: str) -> tuple[str, str]:
        info = MatcherInfo("x", "", lambda: matcher, ignores=frozenset(ignores))  # type: ignore[arg-type]
        (result,) = run_checks(info, only=["text-matters"]).results
        return result.status, result.reason

    assert of(broken.Deaf, "text") == ("passed", "it says that it ignores the text, and it does")
    assert of(broken.Sound, "text")[0] == "failed"
    blind = MatcherInfo("x", "", lambda: broken.Learnless, ignores=frozenset({"audio"}))
    (result,) = run_checks(blind, only=["learns"]).results
    assert result.status == "skipped" and "ignores the audio" in result.reason


def test_a_matcher_works_without_the_columns_that_it_declares() -> None:
    class NeedsVoice(broken.Sound):
        def features(self, clips: Clips) -> Any:
            _ = clips["voice"]
            return super().features(clips)

    def check(matcher: type[Matcher], *columns: str) -> Any:
        info = MatcherInfo("x", "", lambda: matcher, columns=columns)
        return {one.check: one for one in run_checks(info, only=["columns", "learns"]).results}

    assert check(broken.Sound, "voice")["columns"].status == "passed"
    declared = check(NeedsVoice, "voice")
    assert declared["learns"].status == "passed" and declared["columns"].status == "failed"
    assert "no column 'voice' here" in check(NeedsVoice)["learns"].reason


def test_a_local_class_cannot_be_imported_by_a_new_process() -> None:
    class Local(broken.Sound):
        pass

    for name in ("save-load", "stray-files"):
        (result,) = run_checks(Local, only=[name]).results
        assert result.status == "skipped" and "cannot import" in result.reason


def test_light_entry(plugin: Callable[..., Registry]) -> None:
    plugin(**{"tests.toys": toy_plugin(broken.Sound)})  # a module that imports numpy
    (result,) = run_checks("toy", only=["light-entry"]).results
    assert result.status == "failed"
    assert "imports pandas, numpy" in result.reason and "MatcherInfo.load" in result.reason
    (result,) = run_checks("base-rate", only=["light-entry"]).results
    assert result.status == "passed"


def test_unknown_check_and_matcher() -> None:
    with pytest.raises(UserError, match="no check 'save-lod'; did you mean 'save-load'"):
        run_checks("base-rate", only=["save-lod"])
    with pytest.raises(UserError, match="no matcher 'base-rat'; did you mean 'base-rate'"):
        run_checks("base-rat")


def test_command(command: Command, plugin: Callable[..., Registry]) -> None:
    code, out, err = command("check", "base-rate", "--only", "probabilities", "--only", "learns")
    assert code == 0
    assert "passed  probabilities" in err  # progress
    assert "2 checks: 1 passed, 0 failed, 1 skipped" in out and "ignores the audio" in out
    plugin(toy=toy_plugin(broken.NaN))
    code, out, _ = command("check", "toy", "--only", "probabilities", "--json")
    answer = json.loads(out)
    assert code == 1 and (answer["passed"], answer["failed"], answer["skipped"]) == (0, 1, 0)
    assert "nan" in answer["results"][0]["reason"]
    code, _, err = command("check", "toy", "--only", "nothing")
    assert code == 2 and "no check 'nothing'" in err
    code, _, err = command("check", "toy", "--device", "abacus")
    assert code == 2 and "abacus" in err


def test_the_toy_corpus_is_fair(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "a")
    again = make_toy(tmp_path / "b")
    assert toy.held_out.ids == again.held_out.ids
    for one, other in zip(toy.train.paths, again.train.paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert not toy.held_out.labelled
    assert not set(toy.train["voice"]) & set(toy.held_out["voice"])
    assert 0.4 <= toy.train.labels.mean() <= 0.6
    turned = toy.scrambled()
    assert np.array_equal(turned.labels, 1 - toy.labels)
    assert turned.train.frame.equals(toy.train.frame)
    assert len(make_edges(tmp_path / "edges")) == 5


def test_cause_names_the_plugin_not_the_core() -> None:
    module = ModuleType("audiomatch_beside")
    path = str(Path(audiomatch.__file__).parent) + "_beside/model.py"
    exec(compile("def fail():\n    raise KeyError('x')\n", path, "exec"), module.__dict__)
    with pytest.raises(KeyError) as caught:
        module.fail()
    assert cause_of(caught.value) == f"KeyError: 'x' ({path}:2)"


def test_a_hook_that_is_not_marked_is_refused(plugin: Callable[..., Registry]) -> None:
    module = ModuleType("unmarked")
    module.audiomatch_matchers = lambda: []  # type: ignore[attr-defined]
    marked = ModuleType("marked")
    marked.audiomatch_matchers = hookimpl(lambda: [])  # type: ignore[attr-defined]
    errors = {p.name: p.error for p in plugin(unmarked=module, marked=marked).plugins}
    assert errors["marked"] is None
    assert "audiomatch_matchers is not marked with @audiomatch.hookimpl" in str(errors["unmarked"])
