"""What a Whisper says of each word of a text, given the speech."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import torch
from numpy.typing import NDArray

from audiomatch_whisper.listening import Listener
from audiomatch_whisper.tokens import TextEncoder
from audiomatch_whisper.words import SpokenText, bare, pair

# Measured (benchmarks/results/localisation.md): what is not here did not pay for itself.
NAMES = (
    "log p",
    "min log p",
    "log p in silence",
    "first word",
    "lead over another start",
    "gain of leaving the word out",
    "likeness to what is heard",
    "log p of the token before",
)
FOLLOWING = 3  # tokens after a word by which leaving it out is judged
LONGEST = 5  # tokens of the likeliest other word


@dataclass(frozen=True)
class Found:
    """What is known of a text's words.

    Attributes:
        evidence: the numbers of `NAMES` for each word, float64 of shape (words, names).
        log_p: log probability of each token, and of the end after the last.
        heard: for each word what the transcript has in its place.
        others: for each word the likeliest token that another word in its place begins with.
    """

    evidence: NDArray[np.float64]
    log_p: NDArray[np.float64]
    heard: list[str]
    others: list[int]


class Vocabulary:
    """Which ids begin a word, and what is heard of each."""

    def __init__(self, text: TextEncoder) -> None:
        """Look at every id once."""
        names = [text.tokenizer.id_to_token(i) or "" for i in range(text.end)]
        self.bare = [
            bare(one) for one in text.tokenizer.decode_batch([[i] for i in range(text.end)])
        ]
        starts = np.array([name.startswith("Ġ") for name in names])
        voiced = np.array([bool(one) for one in self.bare])
        # In a vocabulary of bytes no token is both a space and a letter.
        self.begins = torch.from_numpy(starts & voiced if (starts & voiced).any() else starts)
        self._goes_on = voiced & ~starts

    def continues(self, token: int) -> bool:
        """Say whether a token goes on with the word before it."""
        return token < len(self._goes_on) and bool(self._goes_on[token])

    def other_start(self, log_p: torch.Tensor, word: str) -> int:
        """Return the likeliest token, by `log_p` of shape (vocabulary,), that begins another word.

        A start that `word` has too, in whatever case, is no other.
        """
        likely = log_p[: len(self.begins)].masked_fill(~self.begins, -torch.inf)
        best = likely.topk(min(12, int(self.begins.sum()))).indices.tolist()
        return next((int(t) for t in best if not bare(word).startswith(self.bare[t])), int(best[0]))


def look(
    listener: Listener, silence: Listener, spoken: SpokenText, words: Vocabulary, transcript: str
) -> Found:
    """Judge every word of `spoken`.

    `silence` is the same decoder listening to silence: what it expects of the text without hearing
    anything. Each word is also left out, all such texts in one pass of the decoder: a word that was
    not said is one that the rest does better without.
    """
    prompt, end = list(listener.prompt), listener.text.end
    ids = [*spoken.ids, end]
    full = [*prompt, *ids]
    rows = listener.log_probs(listener.hidden([full[:-1]])[0, len(prompt) - 1 :]).cpu()
    log_p = rows.gather(1, torch.tensor(ids)[:, None])[:, 0].double().numpy()
    quiet = silence.tails([full], [len(prompt)], [len(spoken.ids)])[0].double().numpy()
    spans = [spoken.span(i) for i in range(len(spoken.words))]
    without = [[*full[: len(prompt) + span.start], *ids[span.stop :]] for span in spans]
    counts = [min(FOLLOWING, len(ids) - span.stop) for span in spans]
    tails = listener.tails(without, [len(prompt) + span.start for span in spans], counts)
    heard = pair(spoken.words, transcript.split())
    others = [
        words.other_start(rows[span.start], word)
        for span, word in zip(spans, spoken.words, strict=True)
    ]
    evidence = np.empty((len(spans), len(NAMES)))
    for i, span in enumerate(spans):
        own = log_p[span]
        following = log_p[span.stop : span.stop + FOLLOWING]
        evidence[i] = (
            own.sum(),
            own.min(),
            quiet[span].sum(),
            i == 0,
            own[0] - float(rows[span.start, others[i]]),
            float(tails[i].sum()) - own.sum() - following.sum(),
            SequenceMatcher(None, bare(spoken.words[i]), bare(heard[i])).ratio(),
            log_p[span.start - 1] if i else 0.0,
        )
    return Found(evidence, log_p, heard, others)


def spell_others(
    listener: Listener, spoken: SpokenText, found: Found, words: Vocabulary
) -> list[str]:
    """Return for each word the likeliest other one after the text before it.

    Its first token is that of `found`; it goes on greedily to the end of the word.
    """
    prompt = list(listener.prompt)
    others = [[token] for token in found.others]
    growing = list(range(len(others)))
    room = listener.model.config.max_target_positions - len(prompt) - len(spoken.ids)
    for _ in range(min(LONGEST, room) - 1):
        if not growing:
            break
        texts = [
            [*prompt, *spoken.ids[: spoken.first[i]], *others[i]] for i in growing
        ]  # fmt: skip
        hidden = listener.hidden(texts)
        last = torch.stack([hidden[k, len(text) - 1] for k, text in enumerate(texts)])
        likeliest = listener.log_probs(last).argmax(-1).tolist()
        going = [(i, t) for i, t in zip(growing, likeliest, strict=True) if words.continues(t)]
        for i, token in going:
            others[i].append(token)
        growing = [i for i, _ in going]
    return [listener.text.words(other).strip() for other in others]
