"""Disrupted answers: cut short, run on, put together the wrong way round, or begun again.

At most one for each text. Unlike the wrong answers of `prompts.py` they are not errors of the task
alone: the words may be right and the answer is still not the text, the whole text and nothing else.
"""

from __future__ import annotations

from corpus.phonemes import PAUSE
from corpus.prompts import PROMPTS, Wrong

SAID = {prompt.text: prompt.spoken for prompt in PROMPTS}


def _first(text: str, percent: int) -> str:
    return f"{SAID[text]} [first {percent} %]"


def _cut_short(text: str, percent: int) -> tuple[str, Wrong]:
    return text, Wrong("cut_short", _first(text, percent))


def _run_on(text: str, spoken: str) -> tuple[str, Wrong]:
    return text, Wrong("run_on", spoken)


def _swapped(text: str, spoken: str) -> tuple[str, Wrong]:
    return text, Wrong("parts_swapped", spoken)


def _begun_again(text: str, start: int | str) -> tuple[str, Wrong]:
    """Say the text after a false start: so many per cent of it, or a sentence that has both."""
    both = start if isinstance(start, str) else f"{_first(text, start)}{PAUSE}{SAID[text]}"
    return text, Wrong("begun_again", both)


# A word of one syllable is not cut short: without its release a last stop may still be heard.
DISRUPTED: dict[str, Wrong] = dict(
    (
        _cut_short("Basket.", 60),
        _cut_short("Finger.", 55),
        _cut_short("Mother.", 50),
        _run_on("Cake.", "cake I think"),
        _run_on("Cow.", "cow and that is all"),
        _run_on("Tray.", "tray is what is left"),
        _begun_again("Flower.", 45),
        _begun_again("Water.", 50),
        _begun_again("Net.", 60),
        _cut_short("Goldfish.", 50),
        _cut_short("Window.", 55),
        _cut_short("Rocket.", 60),
        _run_on("Bus.", "bus is the word"),
        _run_on("Cat.", "cat and that is it"),
        _run_on("Frog.", "frog I think"),
        _swapped("Football.", "ball foot"),
        _swapped("Sunshine.", "shine sun"),
        _swapped("Bedroom.", "room bed"),
        _begun_again("Popcorn.", 50),
        _begun_again("Pencil.", 45),
        _cut_short("lodrick", 50),
        _cut_short("veshanoop", 65),
        _cut_short("baffinomeek", 45),
        _cut_short("kellavoodosh", 75),
        _run_on("zep", "/Z EH1 P/ ... /OW2 K EY1/"),
        _run_on("thoob", "/TH UW1 B/ ... /IH1 Z IH1 T/"),
        _run_on("gimper", "/G IH1 M P ER0/ ... /AY1 TH IH1 NG K/"),
        _begun_again("nubbick", 50),
        _begun_again("glistomay", 45),
        _begun_again("mogateen", 40),
        _cut_short("The boy who lost his hat is sad.", 45),
        _cut_short("After lunch the class painted a big picture.", 60),
        _cut_short("The farmer was not happy because the gate was open.", 70),
        _cut_short("The kitten that my uncle found was hiding behind the stove.", 80),
        _run_on("The dog ran to the park.", "The dog ran to the park and sat down."),
        _run_on("The baby has a soft blanket.", "The baby has a soft blanket and a bear."),
        _run_on("I can hear the rain on the roof.", "I can hear the rain on the roof at night."),
        _begun_again("My red kite is up high.", "My red, my red kite is up high."),
        _begun_again(
            "Grandma put the apples in a basket.",
            "Grandma put, Grandma put the apples in a basket.",
        ),
        _begun_again(
            "Six ducks swam across the cold pond.",
            "Six ducks, six ducks swam across the cold pond.",
        ),
    )
)
