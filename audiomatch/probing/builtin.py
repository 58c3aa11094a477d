"""The probes that the core itself offers, through the same hook as any plugin."""

from __future__ import annotations

from collections.abc import Iterator

from audiomatch.probing.info import Expectation, ProbeInfo

_SOUND: dict[Expectation, dict[str, tuple[str, str]]] = {
    "stay": {
        "as-recorded": ("as_recorded", "as it was recorded"),
        "softer": ("softer", "30 dB softer"),
        "clipped": ("clipped", "12 dB over full scale, cut off"),
        "dc": ("dc", "with an offset of a tenth of full scale"),
        "hum": ("hum", "with a hum 10 dB under the speech"),
        "telephone": ("telephone", "by telephone: 300 to 3,400 Hz, 8 bits"),
        "rate-8-khz": ("low_rate", "at a sample rate of 8 kHz"),
        "faster": ("faster", "15 % faster"),
        "slower": ("slower", "15 % slower"),
        "silence-before": ("silence_before", "after 8 s of silence"),
        "silence-after": ("silence_after", "before 8 s of silence"),
        "noise-20-db": ("noise_20_db", "in noise 20 dB under the speech"),
        "noise-10-db": ("noise_10_db", "in noise 10 dB under the speech"),
        "noise-5-db": ("noise_5_db", "in noise 5 dB under the speech"),
        "said-twice": ("said_twice", "said twice"),
    },
    "fall": {
        "first-three-quarters": ("first_three_quarters", "the first three quarters of the speech"),
        "first-half": ("first_half", "the first half of the speech"),
        "last-half": ("last_half", "the last half of the speech"),
        "another-sentence": ("another_sentence", "another sentence, of another recording"),
        "silence": ("silence", "silence"),
        "noise": ("noise", "noise"),
        "music": ("music", "music: chords"),
    },
    "more": {
        "sentence-before": ("sentence_before", "another sentence before it"),
        "sentence-after": ("sentence_after", "another sentence after it"),
    },
}
_WORDING: dict[Expectation, dict[str, tuple[str, str]]] = {
    "stay": {
        "homophone": ("homophone", "a word spelled as another that sounds the same"),
    },
    "fall": {
        "words-swapped": ("words_swapped", "two neighbouring words of the text swapped"),
        "two-words-more": ("two_words_more", "two words more in the text than were said"),
        "first-word-replaced": ("first_word_replaced", "the first word is another"),
        "middle-word-replaced": ("middle_word_replaced", "a middle word is another"),
        "last-word-replaced": ("last_word_replaced", "the last word is another"),
        "first-word-more": ("first_word_more", "a word more at the start of the text"),
        "middle-word-more": ("middle_word_more", "a word more in the middle of the text"),
        "last-word-more": ("last_word_more", "a word more at the end of the text"),
        "middle-word-fewer": ("middle_word_fewer", "a word fewer in the middle of the text"),
        "one-phone": ("one_phone", "a word that differs in one phone"),
        "ending-more": ("ending_more", "an s or ed in the text that was not said"),
        "ending-fewer": ("ending_fewer", "an s or ed said that is not in the text"),
    },
    "more": {
        "two-words-fewer": ("two_words_fewer", "two words fewer in the text than were said"),
        "first-word-fewer": ("first_word_fewer", "a word fewer at the start of the text"),
        "last-word-fewer": ("last_word_fewer", "a word fewer at the end of the text"),
    },
}


def own_probes() -> Iterator[ProbeInfo]:
    """Give the core's own, in the order of the table."""
    for expectation in _SOUND:
        for module, probes in (("sound", _SOUND), ("wording", _WORDING)):
            for name, (function, summary) in probes[expectation].items():
                where = f"{__package__}.{module}:{function}"
                yield ProbeInfo(name, summary, expectation, where)
