"""What a decoder expects of a text where nobody speaks, which the score takes off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.score.targets import Target

MOST_TEXTS = 10_000  # that are kept


Encode = Callable[[], CrossAttentionCache]  # a clip in which nobody speaks
# Each token's log probability given what is heard, (n, maximum), 0 after a text.
Score = Callable[[Sequence[Target], CrossAttentionCache], Tensor]


class Silence:
    """The log probabilities of texts given silence, and what the decoder hears of it.

    While a Whisper is trained both are computed each time. Once nothing trains it, what it hears of
    silence is kept; on a CPU so are the texts, for the next recordings of them.
    """

    def __init__(self) -> None:
        self.begin(keep=False, texts=False)

    def begin(self, *, keep: bool, texts: bool) -> None:
        """Forget all, and say whether the clip, and whether texts, may be kept from here on."""
        self._keep, self._keep_texts = keep, keep and texts
        self._heard: CrossAttentionCache | None = None
        self._known: dict[object, Tensor] = {}  # (tokens,) of each text

    def heard(self, encode: Encode) -> CrossAttentionCache:
        """Return what the decoder hears where nobody speaks."""
        found = encode() if self._heard is None else self._heard
        if self._keep:
            self._heard = found
        return found

    @torch.no_grad()
    def log_p(self, targets: Sequence[Target], score: Score, encode: Encode) -> Tensor:
        """Return each token's log probability given silence, (n, maximum), as a constant."""
        if not self._keep_texts:
            return score(targets, self.heard(encode))
        keys = [target.key for target in targets]
        if len(self._known) + len(targets) > MOST_TEXTS:
            self._known = {}
        known = self._known
        missing = {key: own for key, own in zip(keys, targets, strict=True) if key not in known}
        if missing:
            found = score(list(missing.values()), self.heard(encode))
            for (key, target), row in zip(missing.items(), found, strict=True):
                known[key] = row[: len(target.tokens)].clone()
        return pad_sequence([known[key] for key in keys], batch_first=True)
