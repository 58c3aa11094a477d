"""Which other word a Whisper would rather put after the text before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from audiomatch_whisper.explain.word_features import ScoredWords
from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.softmax import ROWS_AT_ONCE
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.text.vocabulary import Vocabulary
from audiomatch_whisper.text.words import TokenizedText

LONGEST = 5  # tokens of the likeliest other word


def spell_alternatives(
    scorer: Scorer,
    cache: CrossAttentionCache,
    texts: Sequence[TokenizedText],
    owner: NDArray[np.int64],
    scored: Sequence[ScoredWords],
    vocabulary: Vocabulary,
) -> list[list[str]]:
    """Return for each word of each text the likeliest other one after the text before it.

    Its first token is that of `scored`; it goes on greedily to the end of the word. The arguments
    are those of `score_words`, and what it gave.
    """
    prompt, tokenizer = scorer.prompt, scorer.whisper.tokenizer
    spelled = [[[token] for token in one.others] for one in scored]
    room = [scorer.whisper.longest - len(prompt) - len(text.ids) for text in texts]
    growing = [(k, i) for k, words in enumerate(spelled) for i in range(len(words))]
    for step in range(1, LONGEST):
        growing = [(k, i) for k, i in growing if step < room[k]]
        if not growing:
            break
        sequences = [
            [*prompt, *texts[k].ids[: texts[k].first[i]], *spelled[k][i]] for k, i in growing
        ]
        tree = PrefixTree.of(
            sequences, scorer.model.device, np.array([owner[k] for k, _ in growing])
        )
        hidden = decode(scorer.whisper.decoder, tree, cache)[tree.paths[:, -1]]  # (growing, d)
        likeliest = torch.cat(
            [scorer.model.proj_out(rows).argmax(-1) for rows in hidden.split(ROWS_AT_ONCE)]
        ).tolist()
        going = [
            (word, token)
            for word, token in zip(growing, likeliest, strict=True)
            if vocabulary.continues(token)
        ]
        for (k, i), token in going:
            spelled[k][i].append(token)
        growing = [word for word, _ in going]
    return [[tokenizer.decode(ids).strip() for ids in words] for words in spelled]
