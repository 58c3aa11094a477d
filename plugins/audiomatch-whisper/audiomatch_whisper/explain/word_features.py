"""What a Whisper says of each word of a text, given the speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.pronunciations import homophones
from audiomatch.text import letters
from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.softmax import ROWS_AT_ONCE, vocabulary_log_p
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.score.targets import Target, TargetBatch
from audiomatch_whisper.score.tokens import read_tokens
from audiomatch_whisper.text.vocabulary import Vocabulary
from audiomatch_whisper.text.words import TokenizedText, align_words, similarity

FOLLOWING = 3  # tokens after a word by which leaving it out is judged

Floats = NDArray[np.float64]


class WordFeatures(NamedTuple):
    """The features of a text's words, each (words,), in the order in which the head takes them.

    Measured (benchmarks/results/localisation.md): what is not here did not pay for itself.

    Attributes:
        log_p: log probability of the word, the sum over its tokens.
        least_log_p: that of its least probable token.
        silent_log_p: its log probability given silence.
        is_first: 1 for the first word.
        lead: log probability of its first token less that of the likeliest other word's.
        gain_without: how much likelier the tokens after it are where it is left out: a word that
            was not said is one that the rest does better without.
        similarity: how alike it is to what was heard in its place.
        log_p_before: log probability of the token before it.
    """

    log_p: Floats
    least_log_p: Floats
    silent_log_p: Floats
    is_first: Floats
    lead: Floats
    gain_without: Floats
    similarity: Floats
    log_p_before: Floats

    def stacked(self) -> Floats:
        """Return them as (words, features)."""
        return np.column_stack(self)


@dataclass(frozen=True)
class ScoredWords:
    """What is known of a text's words.

    Attributes:
        features: of each word.
        log_p: log probability of each token, and of the end after the last: (tokens + 1,).
        heard: for each word what the transcript has in its place.
        others: for each word the likeliest token that another word in its place begins with.
    """

    features: WordFeatures
    log_p: Floats
    heard: list[str]
    others: list[int]


def score_words(
    scorer: Scorer,
    cache: CrossAttentionCache,
    texts: Sequence[TokenizedText],
    owner: NDArray[np.int64],
    silent: Tensor,
    transcripts: Sequence[str],
    vocabulary: Vocabulary,
) -> list[ScoredWords]:
    """Score every word of some texts, each as it is and with each of its words left out.

    Args:
        scorer: the Whisper.
        cache: of some clips.
        texts: the texts.
        owner: the clip of each, rising.
        silent: log probability of each token of each text given silence, (texts, maximum).
        transcripts: what was heard in the clip of each text.
        vocabulary: of the Whisper.
    """
    model, prompt, end = scorer.model, scorer.prompt, scorer.whisper.tokenizer.end
    targets: list[Target] = []
    own: list[int] = []  # the place in `targets` of each text as it is
    for text in texts:
        own.append(len(targets))
        targets.append(Target.of(text, prompt, end, scorer.spell))
        targets += [_without(text, word, prompt, end) for word in range(len(text.words))]
    counts = np.diff([*own, len(targets)])
    batch = TargetBatch.of(targets, model.device, np.repeat(owner, counts))
    hidden = decode(scorer.whisper.decoder, batch.tree, cache)  # (nodes, d)
    log_p = read_tokens(model, hidden, batch).log_p.cpu().double().numpy()  # (targets, maximum)
    silent_log_p = silent.cpu().double().numpy()
    rows = np.repeat(own, counts - 1)
    firsts = np.concatenate([text.first for text in texts])
    places = [torch.from_numpy(x).to(model.device) for x in (rows, firsts)]
    before_words = batch.before[places[0], places[1]]  # of each word, (words of all texts,)
    starts: list[list[tuple[int, float]]] = []
    for nodes in before_words.split(ROWS_AT_ONCE):
        starts += vocabulary.likeliest_starts(vocabulary_log_p(model.proj_out, hidden[nodes]))
    out, seen = [], 0
    for i, text, transcript, quiet in zip(own, texts, transcripts, silent_log_p, strict=True):
        words = len(text.words)
        spellings = [_spellings(word, scorer) for word in text.words]
        others = [
            vocabulary.begin_another(found, spelled)
            for found, spelled in zip(starts[seen : seen + words], spellings, strict=True)
        ]
        seen += words
        heard = align_words(text.words, transcript.split())
        alike = [
            max(similarity(letters(one), letters(said)) for one in spelled)
            for spelled, said in zip(spellings, heard, strict=True)
        ]
        features = _features(text, log_p[i : i + 1 + words], quiet, alike, others)
        tokens = log_p[i, : len(text.ids) + 1]
        out.append(ScoredWords(features, tokens, heard, [token for token, _ in others]))
    return out


def _without(text: TokenizedText, word: int, prompt: tuple[int, ...], end: int) -> Target:
    """Leave out a word, and ask about the text up to `FOLLOWING` tokens after it."""
    span, ids = text.span(word), (*text.ids, end)
    tokens = (*ids[: span.start], *ids[span.stop : span.stop + FOLLOWING])
    return Target(prompt, tokens, np.zeros(len(tokens) - 1, dtype=np.int64))


def _spellings(word: str, scorer: Scorer) -> tuple[str, ...]:
    """Return a word, and what sounds the same where the scorer goes by sound."""
    return (word,) if scorer.spell is None else (word, *homophones(word.lower()))


def _features(
    text: TokenizedText,
    log_p: Floats,
    silent: Floats,
    similarities: Sequence[float],
    others: Sequence[tuple[int, float]],
) -> WordFeatures:
    """Return the features of a text; `log_p` is of it and of it without each word."""
    own = log_p[0]
    words = range(len(text.words))
    spans = [text.span(i) for i in words]
    total = np.array([own[span].sum() for span in spans])
    end = len(text.ids) + 1
    following = [slice(span.stop, min(span.stop + FOLLOWING, end)) for span in spans]
    rest = np.array([own[after].sum() for after in following])
    rest_without = np.array(
        [
            log_p[1 + i, span.start : span.start + (after.stop - after.start)].sum()
            for i, (span, after) in enumerate(zip(spans, following, strict=True))
        ]
    )
    return WordFeatures(
        log_p=total,
        least_log_p=np.array([own[span].min() for span in spans]),
        silent_log_p=np.array([silent[span].sum() for span in spans]),
        is_first=np.array([float(i == 0) for i in words]),
        lead=np.array([own[span.start] - others[i][1] for i, span in enumerate(spans)]),
        gain_without=rest_without - total - rest,
        similarity=np.array(similarities),
        log_p_before=np.array([own[span.start - 1] if i else 0.0 for i, span in enumerate(spans)]),
    )
