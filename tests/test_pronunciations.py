import importlib.util

import pytest

from audiomatch import pronunciations
from audiomatch.errors import UserError


def test_words_that_sound_the_same():
    assert {"too", "two"} <= set(pronunciations.homophones("to"))
    assert set(pronunciations.homophones("their")) == {"there", "they're"}
    assert "colour" in pronunciations.homophones("color")
    assert {"red", "reed"} <= set(pronunciations.homophones("read"))
    assert pronunciations.homophones("chavv") == ()
    assert "to" not in pronunciations.homophones("to")


def test_what_is_alike_only_where_both_are_reduced_does_not_sound_the_same():
    said = pronunciations.dictionary()
    assert "ER" in said["are"] and "ER" in said["or"]
    assert "or" not in pronunciations.homophones("are")


def test_a_word_is_said_in_its_usual_way_first():
    assert pronunciations.dictionary()["to"][0] == "T UW"
    assert "chavv" not in pronunciations.dictionary()


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    pronunciations._lexicons.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pronunciations, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install pocketsphinx"):
        pronunciations.dictionary()
    pronunciations._lexicons.cache_clear()
