from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from audiomatch import Matcher, MatcherInfo, Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.intake import admit
from audiomatch.model import CARD, card_of, load_model, save_model
from audiomatch.plugins import Registry, registry
from audiomatch.spec import parse_matcher
from tests.toys import Toy, toy_plugin

Plugin = Callable[..., Registry]


class Knowing(Toy):
    """Knows the answer from the clip's length, with the sureness it is given."""

    seen: list[set[str]] = []

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        type(self).seen.append(set(train.groups))

    def predict(self, clips: Clips, run: Run) -> Any:
        per_letter = clips.seconds / [len(text) for text in clips.texts]
        return expit(self.config.strength * np.where(per_letter > 0.075, 1.0, -1.0))


def members(*types: type[Matcher]) -> Any:
    module = toy_plugin()
    module.audiomatch_matchers = hookimpl(
        lambda: [MatcherInfo(t.__name__.lower(), "", lambda t=t: t) for t in types]
    )
    return module


@pytest.fixture
def clips(corpus: Path, run: Run) -> Clips:
    info = registry().datasets()["manifest"]
    return admit(info.open(corpus, True), run).clips


def make(name: str, plugin: Plugin) -> tuple[Registry, Matcher]:
    made = plugin(members=members(Toy, Knowing))
    return made, made.create(parse_matcher(name))


def test_mean_is_the_mean(plugin: Plugin, clips: Clips, run: Run) -> None:
    made, ensemble = make("ensemble@members=(knowing@strength=2,toy)", plugin)
    alone = []
    for name in ("knowing@strength=2", "toy"):
        member = made.create(parse_matcher(name))
        member.fit(clips, run)
        alone.append(member.predict(clips, run))
    ensemble.fit(clips, run)
    np.testing.assert_allclose(ensemble.predict(clips, run), np.mean(alone, axis=0))
    assert set(run.notes["members"]) == {"knowing@strength=2", "toy"}


@pytest.mark.parametrize(
    "method", ["logistic", pytest.param("lightgbm", marks=pytest.mark.plugins)]
)
def test_stack_trusts_the_member_that_knows(
    plugin: Plugin, clips: Clips, run: Run, method: str, tmp_path: Path
) -> None:
    Knowing.seen = []
    spec = parse_matcher(f"ensemble@members=(knowing@strength=1,toy)@method={method}")
    made, ensemble = make(str(spec), plugin)
    ensemble.fit(clips, run)
    predicted = ensemble.predict(clips.unlabelled(), run)
    assert (predicted[clips.labels == 1] > expit(1)).all()
    assert (predicted[clips.labels == 0] < expit(-1)).all()
    groups = set(clips.groups)
    inner, whole = Knowing.seen[:-1], Knowing.seen[-1]
    assert whole == groups and len(inner) == 3
    assert all(part < groups for part in inner)
    assert set.intersection(*inner) == set(), "every group is held out of one inner fold"
    card = card_of(spec, made.offer(spec), ensemble)
    save_model(tmp_path / "model", ensemble, card)
    loaded, _ = load_model(tmp_path / "model", made)
    np.testing.assert_array_equal(loaded.predict(clips, run), predicted)


@pytest.mark.parametrize(
    "method, old, new",
    [
        ("logistic", '"weights": [', '"weights": [1.0, '),
        ("logistic", '"offset": ', '"offset": 1e999, "was": '),
        pytest.param("lightgbm", "left_child=-1", "left_child=0", marks=pytest.mark.plugins),
        pytest.param("lightgbm", "threshold=", "threshold=9 ", marks=pytest.mark.plugins),
        pytest.param(
            "lightgbm", "max_feature_idx=1", "max_feature_idx=9", marks=pytest.mark.plugins
        ),
    ],
)
def test_a_stack_made_to_harm_is_refused(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path, method: str, old: str, new: str
) -> None:
    spec = parse_matcher(f"ensemble@members=(knowing@strength=1,toy)@method={method}")
    made, ensemble = make(str(spec), plugin)
    ensemble.fit(clips, run)
    ensemble.save(tmp_path)
    stack = tmp_path / ("ensemble.json" if method == "logistic" else "stack.txt")
    assert old in stack.read_text()
    stack.write_text(stack.read_text().replace(old, new, 1))
    with pytest.raises((UserError, ValueError)):
        made.create(spec).load(tmp_path)


def test_a_member_in_the_place_of_another_is_refused(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path
) -> None:
    spec = parse_matcher("ensemble@members=(knowing,toy)")
    made, ensemble = make(str(spec), plugin)
    ensemble.fit(clips, run)
    folder = tmp_path / "model"
    save_model(folder, ensemble, card_of(spec, made.offer(spec), ensemble))
    (folder / "member-0").rename(folder / "other")
    (folder / "member-1").rename(folder / "member-0")
    (folder / "other").rename(folder / "member-1")
    with pytest.raises(UserError, match="audiomatch.json: has changed since the model was saved"):
        load_model(folder, made)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "files": None}))
    with pytest.raises(UserError, match="member-0: holds toy, not the member knowing"):
        load_model(folder, made)


def test_bench_runs_it(
    plugin: Plugin, command: Callable[..., tuple[int, str, str]], corpus: Path, tmp_path: Path
) -> None:
    plugin(members=members(Toy, Knowing))
    code, out, err = command(
        *("bench", corpus, "--folds", 3, "--out", tmp_path / "run", "--json", "--matchers"),
        "knowing,ensemble:stacked@members=(knowing,toy),ensemble@members=(knowing,toy)",
    )
    assert code == 0, err
    losses = {row["matcher"]: row["log_loss"] for row in json.loads(out)["rows"]}
    stacked = losses["ensemble:stacked@members=(knowing,toy)"]
    assert stacked < losses["knowing"] < losses["ensemble@members=(knowing,toy)"]


class Seeded(Toy):
    """Predicts by the seed it was fitted with."""

    def fit(self, train: Clips, run: Run) -> None:
        self.rate = 1 / (2 + run.seed)
        run.note(seed=run.seed)


def test_the_same_member_again_is_another_fine_tune(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path
) -> None:
    made = plugin(members=members(Seeded))
    # The third is the first by another name.
    spec = parse_matcher("ensemble@members=(seeded,seeded,seeded@strength=1,seeded@strength=2)")
    ensemble = made.create(spec)
    ensemble.fit(clips, run)
    predicted = ensemble.predict(clips.unlabelled(), run)
    np.testing.assert_allclose(predicted, np.mean([1 / 2, 1 / 3, 1 / 4, 1 / 2]))
    seeds = {
        "seeded": 0,
        "seeded (seed + 1)": 1,
        "seeded@strength=1 (seed + 2)": 2,
        "seeded@strength=2": 0,
    }
    assert run.notes["members"] == {label: {"seed": seed} for label, seed in seeds.items()}
    assert set(ensemble.fingerprint()) == set(seeds)
    card = card_of(spec, made.offer(spec), ensemble)
    save_model(tmp_path / "model", ensemble, card)
    loaded, _ = load_model(tmp_path / "model", made)
    np.testing.assert_array_equal(loaded.predict(clips.unlabelled(), run), predicted)


def test_the_last_seed_is_followed_by_the_first(plugin: Plugin, clips: Clips, run: Run) -> None:
    ensemble = plugin(members=members(Seeded)).create(
        parse_matcher("ensemble@members=(seeded,seeded)")
    )
    run.seed = 2**32 - 1
    ensemble.fit(clips, run)
    assert [notes["seed"] for notes in run.notes["members"].values()] == [2**32 - 1, 0]


def test_a_stack_of_the_same_member_twice(plugin: Plugin, clips: Clips, run: Run) -> None:
    ensemble = plugin(members=members(Seeded)).create(
        parse_matcher("ensemble:stacked@members=(seeded,seeded)")
    )
    ensemble.fit(clips, run)
    assert list(run.notes["stack"]) == ["seeded", "seeded (seed + 1)"]


def test_fingerprint_follows_the_members(plugin: Plugin) -> None:
    _, one = make("ensemble@members=(toy@strength=1)", plugin)
    _, two = make("ensemble@members=(toy@strength=2)", plugin)
    assert list(one.fingerprint().values()) != list(two.fingerprint().values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ensemble@members=(toi)", "no matcher 'toi'; did you mean 'toy'"),
        ("ensemble@members=(toy@size=1)", "no option 'size'"),
        ("ensemble@members=()", "option 'members': no matcher named"),
        ("ensemble@members=(toy)@method=median", "option 'method'"),
        ("ensemble@inner_folds=1", "option 'inner_folds'"),
    ],
)
def test_bad_members_are_one_line(plugin: Plugin, name: str, says: str) -> None:
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        make(name, plugin)


def test_a_failing_member_is_named(plugin: Plugin, clips: Clips, run: Run) -> None:
    class Sick(Toy):
        def fit(self, train: Clips, run: Run) -> None:
            raise ValueError("too few beans")

    plugin(members=members(Sick))
    from audiomatch import plugins

    ensemble = plugins.registry().create(parse_matcher("ensemble@members=(sick)"))
    with pytest.raises(RuntimeError, match="member sick: ValueError: too few beans"):
        ensemble.fit(clips, run)


def test_members_that_are_not_named_are_those_that_offer_themselves(plugin: Plugin) -> None:
    def offering(*presets: str | None) -> Any:
        infos = [
            MatcherInfo(
                f"m{i}", "", lambda: Toy, presets={"weak": {"strength": 0.1}}, member=preset
            )
            for i, preset in enumerate(presets)
        ]
        return toy_plugin(audiomatch_matchers=lambda: infos)

    made = plugin(some=offering("weak", None, "default"))
    spec = parse_matcher("ensemble:stacked")
    assert made.create(spec).config.members == ("m0:weak", "m2")
    with pytest.raises(UserError, match=r"option 'members': none is named, .*offer.*\(m0\); name"):
        plugin(one=offering("default", None)).create(spec)
    assert plugin(none=offering()).create(parse_matcher("ensemble@members=(prior)"))


@pytest.mark.plugins
def test_with_our_plugins_the_members_are_these_three() -> None:
    members = registry().create(parse_matcher("ensemble")).config.members
    assert set(members) == {"whisper:quick", "xgboost", "lightgbm"}
