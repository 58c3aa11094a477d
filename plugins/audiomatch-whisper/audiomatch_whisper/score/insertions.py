"""Whether a word was said that a text leaves out: what the decoder would rather read in its gaps.

An article that the text has not takes a tenth of a second: the times of an alignment hardly tell.
So in each gap of a text, before each word and before the end, the word that the decoder finds
likeliest there is put in, and the text is read on. Where the word was said, the decoder finds that
and what follows likelier than what follows without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.softmax import ROWS_AT_ONCE
from audiomatch_whisper.score.targets import Target, TargetBatch
from audiomatch_whisper.score.tokens import Normalise, logit_lead, read_tokens
from audiomatch_whisper.text.tokenizer import Ids
from audiomatch_whisper.text.vocabulary import Vocabulary

FOLLOWING = 3  # tokens after a gap by which a word in it is judged
ALLOWANCE = 2.0  # nats that the speech has to add to what the text alone makes likely
TEXTS_AT_ONCE = 64
LEAST_GAIN = -15.0  # nats; of a text without such a gap too
# Who hesitates has said nothing else.
HESITATIONS = frozenset({"um", "umm", "uh", "uhm", "uhh", "er", "erm", "hm", "hmm", "mm", "mhm"})

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class Insertions(NamedTuple):
    """How much likelier a text is with another word in a gap, in nats, each (n,).

    What the text alone makes likely, and who reads may leave out, is no evidence: of the gain goes
    how much likelier the word is than the text's own where nobody speaks, plus `ALLOWANCE`, where
    that is positive.

    Attributes:
        first: before the first word.
        within: the most before another word.
        last: before the end.
    """

    first: Tensor
    within: Tensor
    last: Tensor


class Gaps(NamedTuple):
    """The gaps of n texts with a word put in, (gaps,) each, those of a text side by side.

    Attributes:
        text: the number of the text.
        place: how many of its tokens come before the gap.
        token: the first of the word that is put in.
        log_p: log probability of that token after those before it.
        following: that of the `FOLLOWING` tokens after the gap with the word in it, (gaps,
            FOLLOWING), 0 after the end.
        without: the same without the word.
        silent_lead: how much likelier the token is than the text's own where nobody speaks.
    """

    text: Places
    place: Places
    token: Places
    log_p: Floats
    following: Floats
    without: Floats
    silent_lead: Floats

    @property
    def gain(self) -> Floats:
        """How much likelier a text is with the word, less what it is without speech: (gaps,)."""
        found = self.log_p + (self.following - self.without).sum(1)
        return np.asarray(found - np.maximum(self.silent_lead + ALLOWANCE, 0))


class GapReader(NamedTuple):
    """What puts words in the gaps of texts, and reads on.

    Attributes:
        model: the Whisper.
        vocabulary: its own.
        normalise: as `read_tokens` takes it.
        silence: what the decoder hears where nobody speaks.
    """

    model: WhisperNetwork
    vocabulary: Vocabulary
    normalise: Normalise | None
    silence: CrossAttentionCache

    @torch.no_grad()
    def read(
        self, cache: CrossAttentionCache, targets: Sequence[Target], owner: NDArray[np.int64]
    ) -> Gaps:
        """Put a word in each gap of some texts.

        Args:
            cache: of the clips.
            targets: the texts.
            owner: the clip of each, rising.
        """
        model, vocabulary = self.model, self.vocabulary
        written = [replace(target, spellings=()) for target in targets]
        text, place = _gaps_of(written)
        starts = _likeliest_starts(model, cache, written, owner, (text, place), vocabulary)
        beside = [one for target in targets for one in _words_beside(target, vocabulary)]
        pairs = zip(starts, beside, strict=True)
        token = np.array([_another(*pair, vocabulary) for pair in pairs], dtype=np.int64)
        put_in = [
            _with(written[i], at, other)
            for i, at, other in zip(text.tolist(), place.tolist(), token.tolist(), strict=True)
        ]
        count = np.bincount(text)  # of each text
        own = np.cumsum(count + 1) - count - 1  # the place of each text as it is among all
        every: list[Target] = []
        for i, (start, end) in enumerate(pairwise(np.append(0, np.cumsum(count)).tolist())):
            every += [written[i], *put_in[start:end]]
        batch = TargetBatch.of(every, model.device, np.repeat(owner, count + 1))
        hidden = decode(model.model.decoder, batch.tree, cache)
        log_p = read_tokens(model, hidden, batch, self.normalise).log_p.cpu().double().numpy()
        log_p = np.pad(log_p, ((0, 0), (0, FOLLOWING)))  # (texts and gaps, maximum + FOLLOWING)
        rows = np.delete(np.arange(len(every)), own)
        after = place[:, None] + np.arange(FOLLOWING)
        return Gaps(
            text=text,
            place=place,
            token=token,
            log_p=log_p[rows, place],
            following=log_p[rows[:, None], after + 1],
            without=log_p[own[text][:, None], after],
            silent_lead=_silent_leads(model, self.silence, written, (text, place, token)),
        )


def insertions(
    reader: GapReader,
    cache: CrossAttentionCache,
    targets: Sequence[Target],
    owner: NDArray[np.int64],
    asked: Tensor | None = None,
) -> Tensor:
    """Return the `Insertions` of n texts side by side: (n, 3).

    They are 0 for texts that `asked`, (n,) of bool, says no to; the other arguments are those of
    `GapReader.read`.
    """
    found = np.zeros((len(targets), len(Insertions._fields)))
    rows = np.arange(len(targets)) if asked is None else np.flatnonzero(asked.cpu().numpy())
    for own in np.split(rows, range(TEXTS_AT_ONCE, len(rows), TEXTS_AT_ONCE)):
        if len(own):
            found[own] = _most(reader.read(cache, [targets[i] for i in own], owner[own]))
    return torch.from_numpy(found).float().to(reader.model.device)


def _most(gaps: Gaps) -> Floats:
    """Return the gain before the first word, the most within, and that before the end: (n, 3)."""
    gain = np.maximum(gaps.gain, LEAST_GAIN)
    first, last = gaps.place == 0, np.append(gaps.text[1:] != gaps.text[:-1], True)
    within = np.full(int(gaps.text[-1]) + 1, LEAST_GAIN)
    inner = ~first & ~last
    np.maximum.at(within, gaps.text[inner], gain[inner])
    return np.column_stack([gain[first], within, gain[last]])


def _gaps_of(targets: Sequence[Target]) -> tuple[Places, Places]:
    """Return the text of each gap, and how many of its tokens come before it: (gaps,) each."""
    places = [
        [*np.flatnonzero(np.diff(target.words, prepend=-1)), len(target.words)]
        for target in targets
    ]
    text = np.repeat(np.arange(len(targets)), [len(own) for own in places])
    return text, np.concatenate(places).astype(np.int64)


def _likeliest_starts(
    model: WhisperNetwork,
    cache: CrossAttentionCache,
    targets: Sequence[Target],
    owner: NDArray[np.int64],
    gaps: tuple[Places, Places],
    vocabulary: Vocabulary,
) -> list[list[tuple[int, float]]]:
    """Return the tokens that likeliest begin a word in each gap, with their logits."""
    batch = TargetBatch.of(targets, model.device, owner)
    hidden = decode(model.model.decoder, batch.tree, cache)
    text, place = (torch.from_numpy(x).to(model.device) for x in gaps)
    out: list[list[tuple[int, float]]] = []
    for nodes in batch.before[text, place].split(ROWS_AT_ONCE):
        out += vocabulary.likeliest_starts(model.proj_out(hidden[nodes]).float())
    return out


def _words_beside(target: Target, vocabulary: Vocabulary) -> Iterator[list[str]]:
    """Give of each gap the words beside it, by their letters, the next in all its spellings."""
    edges = [*np.flatnonzero(np.diff(target.words, prepend=-1)).tolist(), len(target.words)]
    before: list[str] = []
    for start, end in pairwise(edges):
        others = target.spellings[int(target.words[start])] if target.spellings else ()
        own = [_letters(ids, vocabulary) for ids in (target.tokens[start:end], *others)]
        yield before + own
        before = own
    yield before


def _letters(ids: Ids, vocabulary: Vocabulary) -> str:
    return "".join(vocabulary.letters[i] for i in ids)


def _another(
    starts: Sequence[tuple[int, float]], beside: Sequence[str], vocabulary: Vocabulary
) -> int:
    """Return the likeliest token that begins a word, but none that stands beside the gap."""
    said = [one for one in starts if vocabulary.letters[one[0]] not in HESITATIONS]
    return vocabulary.begin_another(said or starts, beside)[0]


def _with(target: Target, place: int, token: int) -> Target:
    """Put a token in, and ask about the text up to `FOLLOWING` tokens after it."""
    ids = target.tokens
    tokens = (*ids[:place], token, *ids[place : place + FOLLOWING])
    return Target(target.prompt, tokens, np.zeros(len(tokens) - 1, dtype=np.int64))


def _silent_leads(
    model: WhisperNetwork,
    silence: CrossAttentionCache,
    targets: Sequence[Target],
    gaps: tuple[Places, Places, Places],
) -> Floats:
    """Return how much likelier each token is than the text's own where nobody speaks: (gaps,)."""
    batch = TargetBatch.of(targets, model.device, np.zeros(len(targets), dtype=np.int64))
    hidden = decode(model.model.decoder, batch.tree, silence)
    text, place, token = (torch.from_numpy(x).to(model.device) for x in gaps)
    nodes, own = batch.before[text, place], batch.tokens[text, place]
    found = logit_lead(model, hidden, nodes, token, own)
    return np.asarray(found.cpu().double().numpy())
