"""The face for other plugins: load a Whisper, encode clips, score texts, transcribe.

    whisper = load_whisper("auto").to(device)
    mels = LogMels(clips, whisper.extractor, run, pad="longest", margin=0.5)
    mel = torch.from_numpy(mels(np.array([0]))).to(device)       # (1, mels, frames)
    states = encode(whisper.encoder, [mel])                      # (frames / 2, d), flat
    cache = CrossAttentionCache.of(whisper.decoder, states)
    log_p = score_tokens(whisper, texts_of(clips, whisper).targets[:1], cache)
    heard = transcribe(whisper, cache, maximum=[20])

Other plugins import nothing else of this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiomatch_torch import Weights
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.net.encoder import encode
from audiomatch_whisper.net.greedy import Transcript, decode_greedily
from audiomatch_whisper.net.modules import Encoder
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.net.weights import (
    Whisper,
    find_whisper,
    load_whisper,
    read_shape,
    read_text_side,
)
from audiomatch_whisper.score import targets as _targets
from audiomatch_whisper.score import tokens as _tokens
from audiomatch_whisper.score.targets import ClipTexts, Target, TargetBatch
from audiomatch_whisper.sound.log_mel import LogMels, log_mel
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText

__all__ = [
    "ClipTexts",
    "CrossAttentionCache",
    "Encoder",
    "LogMels",
    "MelExtractor",
    "Ragged",
    "Target",
    "TokenizedText",
    "Transcript",
    "Whisper",
    "WhisperTokenizer",
    "encode",
    "find_whisper",
    "load_whisper",
    "log_mel",
    "read_shape",
    "refused_texts",
    "score_tokens",
    "texts_of",
    "transcribe",
]


def refused_texts(clips: Clips, weights: Weights) -> list[str | None]:
    """Say of each clip's text whether it is too long for a Whisper that is not loaded yet."""
    tokenizer, longest = read_text_side(weights)
    return _targets.refused_texts(clips, tokenizer, longest, tokenizer.own_prompt)


def texts_of(clips: Clips, whisper: Whisper) -> ClipTexts:
    """Tokenize the text of each clip after the prompt that the Whisper was trained with.

    Raises `UserError` where a text has more tokens than the decoder holds.
    """
    return _targets.texts_of(clips, whisper, whisper.tokenizer.own_prompt)


def score_tokens(whisper: Whisper, targets: Sequence[Target], cache: CrossAttentionCache) -> Tensor:
    """Return the log probability of each token of each text and of its end, given the speech.

    Args:
        whisper: the Whisper.
        targets: n texts; text i is read against clip i of `cache`.
        cache: of n clips.

    Returns:
        (n, tokens of the longest), 0 after a text's end.
    """
    batch = TargetBatch.of(targets, whisper.model.device)
    return _tokens.score_tokens(whisper.model, batch, cache)


def transcribe(
    whisper: Whisper, cache: CrossAttentionCache, maximum: Sequence[int]
) -> list[Transcript]:
    """Decode each clip of `cache` greedily, to at most `maximum` tokens each."""
    tokenizer = whisper.tokenizer
    return decode_greedily(whisper.model, tokenizer.own_prompt, tokenizer.end, cache, maximum)
