from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomatch import UserError
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers

names = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True)
keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9./+-]{1,8}|\([a-z@=,]{1,8}\)", fullmatch=True)


@given(names, names, st.dictionaries(keys, values, max_size=3))
def test_canonical_form_parses_to_itself(name: str, preset: str, options: dict[str, str]) -> None:
    spec = MatcherSpec(name, preset, tuple(sorted(options.items())))
    assert parse_matcher(str(spec)) == spec


@given(st.lists(st.builds(MatcherSpec, names, names), min_size=1, max_size=4, unique=True))
def test_commas_separate(specs: list[MatcherSpec]) -> None:
    assert parse_matchers(",".join(map(str, specs))) == specs


def test_example_of_the_docs() -> None:
    spec = parse_matcher("whisper:baseline@epochs=1@lr=3e-5")
    assert (spec.name, spec.preset) == ("whisper", "baseline")
    assert dict(spec.options) == {"epochs": "1", "lr": "3e-5"}


def test_brackets_hold_other_matchers() -> None:
    inner, other = parse_matchers("ensemble@members=(a:b@x=1,c),d")
    assert dict(inner.options) == {"members": "(a:b@x=1,c)"}
    assert other.name == "d"


def test_with_option_sets_what_can_be_written() -> None:
    spec = parse_matcher("a:b@z=1").with_option("data", "x y/(1) é=2.csv")
    assert str(spec) == "a:b@data=x y/(1) é=2.csv@z=1" and parse_matcher(str(spec)) == spec
    assert str(spec.with_option("z", "2")).endswith("@z=2")
    for value in ("", " x", "a,b", "a@b", "a)", "(a"):
        with pytest.raises(UserError, match="data=.*may not be empty"):
            spec.with_option("data", value)


def test_repeats_on_demand() -> None:
    assert list(map(str, parse_matchers("a,a", repeats=True))) == ["a", "a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no matcher named"),
        (",", "no matcher named"),
        ("Whisper", "write NAME"),
        ("whisper:", "preset's name is missing"),
        ("whisper@epochs", "not of the form @key=value"),
        ("whisper@epochs=", "not of the form @key=value"),
        ("whisper@epochs=1@epochs=2", "given twice"),
        ("a@x=1,a@x=1", "named twice"),
        ("a@members=(b", "do not pair"),
    ],
)
def test_bad_names_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_matchers(text)
