from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from audiomatch import Matcher, MatcherInfo, Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.combining import COMBINERS, Method, WeightedMean
from audiomatch.errors import WeightsError
from audiomatch.folds import inner_folds
from audiomatch.intake import admit
from audiomatch.model import CARD, card_of, load_model, save_model
from audiomatch.plugins import Registry, registry
from audiomatch.scoring.metrics import log_loss
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


@pytest.mark.parametrize(("weights", "shares"), [("equal", [1, 1]), ("(3,1)", [3, 1])])
def test_the_mean_by_weights_that_are_given(
    plugin: Plugin, clips: Clips, run: Run, weights: str, shares: list[int]
) -> None:
    made, ensemble = make(f"ensemble@members=(knowing@strength=2,toy)@weights={weights}", plugin)
    Knowing.seen, alone = [], []
    for name in ("knowing@strength=2", "toy"):
        member = made.create(parse_matcher(name))
        member.fit(clips, run)
        alone.append(member.predict(clips, run))
    ensemble.fit(clips, run)
    expected = np.average(alone, axis=0, weights=shares)
    np.testing.assert_allclose(ensemble.predict(clips, run), expected)
    assert set(run.notes["members"]) == {"knowing@strength=2", "toy"}
    assert len(Knowing.seen) == 2, "nothing is fitted on inner folds"


def test_in_the_mean_a_member_that_knows_nothing_has_no_weight(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path
) -> None:
    spec = parse_matcher("ensemble:mean@members=(toy,knowing@strength=2)")
    made, ensemble = make(str(spec), plugin)
    ensemble.fit(clips, run)
    predicted = ensemble.predict(clips.unlabelled(), run)
    member = made.create(parse_matcher("knowing@strength=2"))
    member.fit(clips, run)
    np.testing.assert_allclose(predicted, member.predict(clips, run))
    assert run.notes["member_weights"] == {"toy": 0, "knowing@strength=2": 1}
    assert list(run.notes["members"]) == ["knowing@strength=2"], "the other is not fitted again"
    folder = tmp_path / "model"
    save_model(folder, ensemble, card_of(spec, made.offer(spec), ensemble))
    assert not (folder / "member-0").exists()
    loaded, _ = load_model(folder, made)
    np.testing.assert_array_equal(loaded.predict(clips, run), predicted)


def labelled(labels: Any, texts: Any = None, tasks: Any = None) -> Clips:
    rows = range(len(labels))
    content = {
        "id": [str(i) for i in rows],
        "audio": "a.wav",
        "expected_text": texts or "moon",
        "task": tasks or "",
        "match": labels,
    }
    return Clips(pd.DataFrame(content))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_the_pool_is_never_worse_than_its_best_member(seed: int, members: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 2)
    p = expit(rng.normal(size=(count, members)) * rng.exponential(3) + 2 * labels[:, None])
    clips = labelled(labels)
    pool = WeightedMean.fit(p, clips, Run(cache=Path()))
    assert pool.weights.min() >= 0 and pool.weights.sum() == pytest.approx(1)
    pooled = log_loss(labels, pool(p[:, pool.used], clips))
    assert pooled <= min(log_loss(labels, own) for own in p.T) + 1e-12


def test_two_that_know_different_clips_share_the_weight() -> None:
    labels = np.arange(40) % 2
    clips, first = labelled(labels), np.arange(40) < 20
    sure = np.where(labels == 1, 0.95, 0.05)
    p = np.stack([np.where(first, sure, 0.5), np.where(first, 0.5, sure)], axis=1)
    np.testing.assert_allclose(WeightedMean.fit(p, clips, Run(Path())).weights, 0.5, atol=0.01)


@pytest.mark.parametrize(
    "method", ["logistic", pytest.param("lightgbm", marks=pytest.mark.plugins)]
)
@pytest.mark.parametrize(
    ("texts", "tasks"),
    [
        ((["moon", "rain", "dog", "sun"], ["chav", "drem", "plonk it gav", "strib"]), None),
        (None, (["naming"], ["repetition"])),
    ],
)
def test_a_stack_is_told_the_task_and_whether_the_text_holds_a_nonword(
    method: Method, texts: tuple[list[str], ...] | None, tasks: tuple[list[str], ...] | None
) -> None:
    """Of the one kind nearly all are matches, of the other nearly none; the member is blind."""
    labels = np.repeat([1, 0], 60)
    labels[[0, 60]] = 0, 1
    clips = labelled(
        labels,
        *(
            one and [kind[i % len(kind)] for kind in one for i in range(60)]
            for one in (texts, tasks)
        ),
    )
    p = np.full((120, 1), 0.5)
    stack = COMBINERS[method].fit(p, clips, Run(cache=Path()))
    predicted = stack(p, clips.unlabelled())
    assert predicted[:60].min() > 0.8 and predicted[60:].max() < 0.2
    assert ("nonword" if texts else "task naming") in stack.facts(["blind"])["stack"]


class Counting(Knowing):
    """Counts its fits by what it was fitted on."""


def test_ensembles_that_share_a_member_share_its_inner_folds(
    plugin: Plugin, clips: Clips, run: Run
) -> None:
    made = plugin(members=members(Toy, Counting))
    Counting.seen = []
    for name in ("ensemble:mean@members=(toy,counting)", "ensemble@members=(counting,toy)"):
        made.create(parse_matcher(name)).fit(clips, run)
    assert len(Counting.seen) == 3 + 2
    run.seed = 1
    made.create(parse_matcher("ensemble:mean@members=(toy,counting)")).fit(clips, run)
    assert len(Counting.seen) == 3 + 2 + 3 + 1


def test_a_mean_saved_without_weights_is_the_plain_one(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path
) -> None:
    made, ensemble = make("ensemble@members=(knowing,toy)@weights=equal", plugin)
    ensemble.fit(clips, run)
    ensemble.save(tmp_path)
    (tmp_path / "ensemble.json").unlink()
    older = made.create(parse_matcher("ensemble:mean@members=(knowing,toy)"))
    older.load(tmp_path)
    np.testing.assert_array_equal(older.predict(clips, run), ensemble.predict(clips, run))


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


@pytest.mark.parametrize("how", ["weights=equal", "method=logistic"])
def test_bagging_takes_the_mean_of_the_fits_without_each_inner_fold(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path, how: str
) -> None:
    Knowing.seen = []
    spec = parse_matcher(f"ensemble@members=(knowing@strength=1,toy)@{how}@bagging=true")
    made, ensemble = make(str(spec), plugin)
    ensemble.fit(clips, run)
    parts = [clips.take(rest) for rest, _ in inner_folds(clips, 3, run.seed)]
    assert [sorted(seen) for seen in Knowing.seen] == [sorted(set(p.groups)) for p in parts]
    assert len(run.notes["members"]) == 2 * 3
    predicted = ensemble.predict(clips.unlabelled(), run)
    if how == "weights=equal":
        toys = [made.create(parse_matcher("toy")) for _ in parts]
        for toy, part in zip(toys, parts, strict=True):
            toy.fit(part, run)
        mean = np.mean([toy.predict(clips, run) for toy in toys], axis=0)
        knowing = Knowing(Knowing.Config(strength=1)).predict(clips, run)
        np.testing.assert_allclose(predicted, (mean + knowing) / 2)
    save_model(tmp_path / "model", ensemble, card_of(spec, made.offer(spec), ensemble))
    loaded, _ = load_model(tmp_path / "model", made)
    np.testing.assert_array_equal(loaded.predict(clips, run), predicted)
    again = made.create(spec)
    again.fit(clips, run)  # the inner predictions are in the cache, and no fit is
    np.testing.assert_array_equal(again.predict(clips, run), predicted)


@pytest.mark.parametrize("content", [None, "{", '{"fits": [3]}', '{"fits": [3, 1e9]}'])
def test_bags_that_are_damaged_are_refused(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path, content: str | None
) -> None:
    name = "ensemble@members=(knowing,toy)@weights=equal@bagging=true"
    made, ensemble = make(name, plugin)
    ensemble.fit(clips, run)
    ensemble.save(tmp_path)
    (tmp_path / "bags.json").unlink()
    if content:
        (tmp_path / "bags.json").write_text(content)
    with pytest.raises(UserError, match=r"bags\.json: missing or damaged"):
        made.create(parse_matcher(name)).load(tmp_path)


@pytest.mark.parametrize(
    "method, old, new",
    [
        ("mean", '"weights": [', '"weights": [1.0, '),
        ("mean", '"weights": [', '"weights": [1.0, 1.0], "was": ['),
        ("logistic", '"model": [', '"model": [1.0, '),
        ("logistic", '"model": [', '"model": [1e999, '),
        ("logistic", '"tasks": ', '"were": '),
        pytest.param("lightgbm", "left_child=-1", "left_child=0", marks=pytest.mark.plugins),
        pytest.param("lightgbm", "threshold=", "threshold=9 ", marks=pytest.mark.plugins),
        pytest.param(
            "lightgbm", "max_feature_idx=6", "max_feature_idx=9", marks=pytest.mark.plugins
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
    stack = tmp_path / ("stack.txt" if method == "lightgbm" else "ensemble.json")
    assert old in stack.read_text()
    stack.write_text(stack.read_text().replace(old, new, 1))
    with pytest.raises((UserError, ValueError)):
        made.create(spec).load(tmp_path)


def test_a_member_in_the_place_of_another_is_refused(
    plugin: Plugin, clips: Clips, run: Run, tmp_path: Path
) -> None:
    spec = parse_matcher("ensemble:plain@members=(knowing,toy)")
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
        "knowing,ensemble@members=(knowing,toy),ensemble:plain@members=(knowing,toy),"
        "ensemble:mean@members=(knowing,toy)",
    )
    assert code == 0, err
    losses = {row["matcher"]: row["log_loss"] for row in json.loads(out)["rows"]}
    stacked, plain, weighted = (
        losses[f"ensemble{preset}@members=(knowing,toy)"] for preset in ("", ":plain", ":mean")
    )
    assert stacked < losses["knowing"] == weighted < plain


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
    spec = parse_matcher(
        "ensemble:plain@members=(seeded,seeded,seeded@strength=1,seeded@strength=2)"
    )
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
        parse_matcher("ensemble:plain@members=(seeded,seeded)")
    )
    run.seed = 2**32 - 1
    ensemble.fit(clips, run)
    assert [notes["seed"] for notes in run.notes["members"].values()] == [2**32 - 1, 0]


def test_a_stack_of_the_same_member_twice(plugin: Plugin, clips: Clips, run: Run) -> None:
    ensemble = plugin(members=members(Seeded)).create(
        parse_matcher("ensemble:stacked@members=(seeded,seeded)")
    )
    ensemble.fit(clips, run)
    assert list(run.notes["stack"])[:2] == ["seeded", "seeded (seed + 1)"]


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
        ("ensemble@members=(toy)@weights=best", "option 'weights'"),
        ("ensemble@members=(toy)@weights=(1,2)", "2 weights for 1 members"),
        ("ensemble@members=(toy,toy)@weights=(0,0)", "weights must be 0 or more, and not all 0"),
        ("ensemble:stacked@members=(toy)@weights=equal", "method=logistic takes no weights"),
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


class Weightless(Toy):
    """Its weights cannot be had."""

    def fingerprint(self) -> dict[str, str]:
        raise WeightsError("no hub")


class Scratch(Toy):
    """Starts from nothing."""

    def fingerprint(self) -> dict[str, str]:
        return {"weights_digest": "scratch"}


def test_members_that_are_not_named_have_their_weights(plugin: Plugin) -> None:
    infos = [
        MatcherInfo(t.__name__.lower(), "", lambda t=t: t, member="default")  # type: ignore[misc]
        for t in (Toy, Weightless, Knowing, Scratch)
    ]
    made = plugin(some=toy_plugin(audiomatch_matchers=lambda: infos))
    config = made.create(parse_matcher("ensemble")).config
    assert config.members == ("knowing", "toy")
    named = made.create(parse_matcher("ensemble@members=(toy,scratch)"))
    assert named.config.members == ("toy", "scratch")


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
def test_with_our_plugins_the_members_are_these() -> None:
    members = registry().create(parse_matcher("ensemble")).config.members
    assert set(members) == {"whisper", "phones", "xgboost", "lightgbm"}
