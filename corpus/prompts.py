"""The texts of the mini-screener and the wrong answers to each of them.

What is spoken is written as parts joined by `` ... `` (a pause). A part is either words or, between
slashes, ARPAbet phonemes with stress digits: ``foot ... ball``, ``/CH AE1 V/``.

Words are written like the sentences, with a capital and a full stop, so that a language model sees
every text of real words in the same dress. Nonwords are only a spelling and go without.
"""

from __future__ import annotations

from dataclasses import dataclass

TASKS = ("deletion", "blending", "nonword_repetition", "sentence_repetition")


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: the kind of error and what is said."""

    error: str
    spoken: str


@dataclass(frozen=True)
class Prompt:
    """One text: what the child is asked, the right answer, and the wrong ones."""

    task: str
    grade: str
    text: str
    question: str
    spoken: str
    wrongs: tuple[Wrong, ...]


def _as_sentence(word: str) -> str:
    return f"{word.capitalize()}."


def _deletion(grade: str, word: str, whole: str, part: str, other: str) -> Prompt:
    """A deletion: `whole` without `part` is `word`; `other` is left when another part goes."""
    wrongs = (Wrong("not_deleted", whole), Wrong("wrong_part_deleted", other))
    question = f"Say {whole} without {part}."
    return Prompt("deletion", grade, _as_sentence(word), question, word, wrongs)


def _blending(grade: str, word: str, parts: str, *left_off: str) -> Prompt:
    """A blend: `parts` together make `word`; `left_off` are answers that lack a part."""
    wrongs = (Wrong("unblended", parts), *(Wrong("part_left_off", said) for said in left_off))
    question = "Put the parts together."
    return Prompt("blending", grade, _as_sentence(word), question, word, wrongs)


def _nonword(
    grade: str,
    text: str,
    phonemes: str,
    replaced: tuple[str, ...],
    swapped: str = "",
    dropped: str = "",
) -> Prompt:
    """A nonword: `text` is a readable spelling, `phonemes` is what counts."""
    wrongs = [Wrong("phoneme_replaced", f"/{said}/") for said in replaced]
    if swapped:
        wrongs.append(Wrong("phonemes_swapped", f"/{swapped}/"))
    if dropped:
        wrongs.append(Wrong("syllable_dropped", f"/{dropped}/"))
    question = "Say this made-up word."
    return Prompt("nonword_repetition", grade, text, question, f"/{phonemes}/", tuple(wrongs))


def _sentence(grade: str, text: str, dropped: str, swapped: str, replaced: str) -> Prompt:
    """A sentence with a word dropped, two neighbours swapped, and a word replaced.

    In sentences beyond kindergarten's each is done twice: who loses a longer sentence seldom loses
    it in one place only.
    """
    wrongs = (
        Wrong("word_dropped", dropped),
        Wrong("words_swapped", swapped),
        Wrong("word_replaced", replaced),
    )
    return Prompt("sentence_repetition", grade, text, "Say exactly what you hear.", text, wrongs)


DELETIONS = (
    _deletion("KG", "cake", "cupcake", "cup", "cup"),
    _deletion("KG", "man", "snowman", "snow", "snow"),
    _deletion("KG", "brush", "toothbrush", "tooth", "tooth"),
    _deletion("KG", "cow", "cowboy", "boy", "boy"),
    _deletion("KG", "flower", "sunflower", "sun", "sun"),
    _deletion("KG", "basket", "basketball", "ball", "ball"),
    _deletion("1", "eat", "meat", "the sound m", "me"),
    _deletion("1", "water", "waterfall", "fall", "fall"),
    _deletion("1", "arm", "farm", "the sound f", "far"),
    _deletion("1", "tray", "train", "the sound n", "rain"),
    _deletion("2", "go", "goat", "the sound t", "oat"),
    _deletion("2", "mother", "grandmother", "grand", "grand"),
    _deletion("2", "finger", "fingernail", "nail", "nail"),
    _deletion("3", "sick", "stick", "the sound t", "tick"),
    _deletion("3", "net", "nest", "the sound s", "/N EH1 S/"),
)

# A stop or a fricative said alone carries a schwa, as children say it ("kuh ... ah ... tuh").
BLENDS = (
    _blending("KG", "football", "foot ... ball", "ball", "foot"),
    _blending("KG", "sunshine", "sun ... shine", "shine", "sun"),
    _blending("KG", "bedroom", "bed ... room", "room", "bed"),
    _blending("KG", "goldfish", "gold ... fish", "fish", "gold"),
    _blending("KG", "popcorn", "pop ... corn", "corn", "pop"),
    _blending("1", "pencil", "pen ... /S AH0 L/", "pen"),
    _blending("1", "tiger", "tie ... /G ER0/", "tie"),
    _blending("1", "window", "win ... /D OW1/", "win"),
    _blending("1", "fish", "/F AH0/ ... /IH1 SH/", "/IH1 SH/"),
    _blending("1", "bus", "/B AH0/ ... us", "us"),
    _blending("1", "rocket", "/R AA1/ ... /K AH0 T/", "rock"),
    _blending("2", "cat", "/K AH0/ ... /AE1/ ... /T AH0/", "at"),
    _blending("2", "sheep", "/SH AH0/ ... /IY1/ ... /P AH0/", "she"),
    _blending("3", "frog", "/F AH0/ ... /R AH0/ ... /AO1/ ... /G AH0/", "fog"),
    _blending("3", "lamp", "/L AH0/ ... /AE1/ ... /M AH0/ ... /P AH0/", "lap", "lamb"),
)

NONWORDS = (
    _nonword("KG", "zep", "Z EH1 P", ("S EH1 P", "Z EH1 B", "Z AE1 P")),
    _nonword("KG", "mafe", "M EY1 F", ("N EY1 F", "M EY1 V", "M EH1 F")),
    _nonword("KG", "jeeg", "JH IY1 G", ("CH IY1 G", "JH IY1 K", "JH IH1 G")),
    _nonword("KG", "thoob", "TH UW1 B", ("F UW1 B", "TH UW1 P", "TH UH1 B")),
    _nonword("1", "nubbick", "N AH1 B IH0 K", ("N AH1 P IH0 K", "M AH1 B IH0 K"), "B AH1 N IH0 K"),
    _nonword(
        "1", "tovash", "T OW1 V AE0 SH", ("T OW1 F AE0 SH", "D OW1 V AE0 SH"), "V OW1 T AE0 SH"
    ),
    _nonword("1", "gimper", "G IH1 M P ER0", ("G IH1 M B ER0", "K IH1 M P ER0"), "P IH1 M G ER0"),
    _nonword(
        "1",
        "lodrick",
        "L AA1 D R IH0 K",
        ("L AA1 T R IH0 K", "L AE1 D R IH0 K"),
        "R AA1 D L IH0 K",
    ),
    _nonword(
        "2",
        "doppaloot",
        "D AA1 P AH0 L UW2 T",
        ("D AA1 B AH0 L UW2 T", "D AA1 P AH0 L OW2 T"),
        "D AA1 L AH0 P UW2 T",
        "D AA1 L UW2 T",
    ),
    _nonword(
        "2",
        "glistomay",
        "G L IH1 S T AH0 M EY2",
        ("K L IH1 S T AH0 M EY2", "G L IH1 S T AH0 N EY2"),
        "G L IH1 M AH0 S T EY2",
        "G L IH1 M EY2",
    ),
    _nonword(
        "2",
        "veshanoop",
        "V EH1 SH AH0 N UW2 P",
        ("F EH1 SH AH0 N UW2 P", "V EH1 SH AH0 M UW2 P"),
        "V EH1 N AH0 SH UW2 P",
        "V EH1 N UW2 P",
    ),
    _nonword(
        "2",
        "mogateen",
        "M OW1 G AH0 T IY2 N",
        ("M OW1 K AH0 T IY2 N", "M OW1 G AH0 D IY2 N"),
        "M OW1 T AH0 G IY2 N",
        "M OW1 T IY2 N",
    ),
    _nonword(
        "3",
        "baffinomeek",
        "B AE1 F IH0 N OW0 M IY2 K",
        ("P AE1 F IH0 N OW0 M IY2 K", "B AE1 V IH0 N OW0 M IY2 K"),
        "B AE1 N IH0 F OW0 M IY2 K",
        "B AE1 N OW0 M IY2 K",
    ),
    _nonword(
        "3",
        "kellavoodosh",
        "K EH1 L AH0 V UW2 D AA0 SH",
        ("G EH1 L AH0 V UW2 D AA0 SH", "K EH1 L AH0 V UW2 T AA0 SH"),
        "K EH1 V AH0 L UW2 D AA0 SH",
        "K EH1 L UW2 D AA0 SH",
    ),
    _nonword(
        "3",
        "zoonimapettiff",
        "Z UW1 N IH0 M AH0 P EH2 T IH0 F",
        ("Z UW1 N IH0 M AH0 B EH2 T IH0 F", "Z UW1 M IH0 M AH0 P EH2 T IH0 F"),
        "Z UW1 M IH0 N AH0 P EH2 T IH0 F",
        "Z UW1 N IH0 P EH2 T IH0 F",
    ),
)

SENTENCES = (
    _sentence(
        "KG",
        "The dog ran to the park.",
        "The dog to the park.",
        "The dog to ran the park.",
        "The dog ran to the house.",
    ),
    _sentence(
        "KG",
        "My red kite is up high.",
        "My kite is up high.",
        "My kite red is up high.",
        "My red boat is up high.",
    ),
    _sentence(
        "KG",
        "We like to eat warm soup.",
        "We like to eat soup.",
        "We like eat to warm soup.",
        "We like to eat warm bread.",
    ),
    _sentence(
        "KG",
        "The baby has a soft blanket.",
        "The baby has a blanket.",
        "The baby has soft a blanket.",
        "The baby has a soft pillow.",
    ),
    _sentence(
        "1",
        "Grandma put the apples in a basket.",
        "Grandma put apples in basket.",
        "Grandma the put apples a in basket.",
        "Grandma put the peaches in a bucket.",
    ),
    _sentence(
        "1",
        "The little frog jumped over a log.",
        "The frog jumped over log.",
        "The frog little jumped a over log.",
        "The little bug climbed over a log.",
    ),
    _sentence(
        "1",
        "I can hear the rain on the roof.",
        "I hear the rain the roof.",
        "I can the hear rain the on roof.",
        "I can see the snow on the roof.",
    ),
    _sentence(
        "1",
        "Six ducks swam across the cold pond.",
        "Six ducks swam across pond.",
        "Six swam ducks across the pond cold.",
        "Six birds swam across the cold river.",
    ),
    _sentence(
        "2",
        "Mom asked if we had fed the fish.",
        "Mom asked if we fed fish.",
        "Mom asked we if fed had the fish.",
        "Mom asked if we had washed the dog.",
    ),
    _sentence(
        "2",
        "The boy who lost his hat is sad.",
        "The boy lost hat is sad.",
        "The boy who his lost hat sad is.",
        "The man who lost his hat is cold.",
    ),
    _sentence(
        "2",
        "After lunch the class painted a big picture.",
        "After lunch class painted a picture.",
        "After lunch the painted class a picture big.",
        "After dinner the class painted a big house.",
    ),
    _sentence(
        "2",
        "She hid the silver key under the mat.",
        "She hid the key under mat.",
        "She hid silver the key the under mat.",
        "She found the silver key under the bed.",
    ),
    _sentence(
        "3",
        "The farmer was not happy because the gate was open.",
        "The farmer was happy because gate was open.",
        "The farmer not was happy because the was gate open.",
        "The farmer was not angry because the gate was broken.",
    ),
    _sentence(
        "3",
        "Before the bus came, the twins had already eaten breakfast.",
        "Before the bus, the twins had eaten breakfast.",
        "Before the came bus, twins the had already eaten breakfast.",
        "Before the train came, the twins had already finished breakfast.",
    ),
    _sentence(
        "3",
        "The kitten that my uncle found was hiding behind the stove.",
        "The kitten my uncle found was hiding the stove.",
        "The kitten that uncle my found hiding was behind the stove.",
        "The puppy that my uncle found was sleeping behind the stove.",
    ),
)

PROMPTS: tuple[Prompt, ...] = DELETIONS + BLENDS + NONWORDS + SENTENCES
