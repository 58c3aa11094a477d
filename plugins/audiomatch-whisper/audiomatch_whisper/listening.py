"""Many texts against one clip: the encoder runs once, and so do the keys and values made of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration

from audiomatch_whisper.tokens import TextEncoder


class Listener:
    """A decoder that listens to one clip.

    Attributes:
        model: the Whisper.
        text: its tokenizer.
        prompt: the ids before every text.
    """

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        text: TextEncoder,
        prompt: tuple[int, ...],
        states: Tensor,
    ) -> None:
        """Compute every layer's keys and values of the encoder states (s, d), once."""
        self.model, self.text, self.prompt = model, text, prompt
        self._states = states[None]
        self._kept: list[tuple[Tensor, Tensor]] = []
        for layer in model.model.decoder.layers:
            attend = layer.encoder_attn
            shape = (1, states.shape[0], attend.num_heads, attend.head_dim)
            keys, values = attend.k_proj(self._states), attend.v_proj(self._states)
            self._kept.append(
                (keys.view(shape).transpose(1, 2), values.view(shape).transpose(1, 2))
            )

    def _cache(self, rows: int) -> EncoderDecoderCache:
        cross = DynamicCache()
        for i, (keys, values) in enumerate(self._kept):
            cross.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), i)
        return EncoderDecoderCache(DynamicCache(), cross)

    def hidden(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Return the decoder's states of each text with its prompt: (n, longest, d)."""
        most = max(map(len, texts))
        ids = torch.full((len(texts), most), self.text.end, device=self._states.device)
        for i, text in enumerate(texts):
            ids[i, : len(text)] = torch.tensor(text)
        out: Tensor = self.model.model.decoder(
            input_ids=ids,
            encoder_hidden_states=self._states,
            past_key_values=self._cache(len(texts)),
            use_cache=True,
        ).last_hidden_state
        return out

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log probability of every token after each state: (…, vocabulary), float32."""
        logits: Tensor = self.model.proj_out(hidden)
        return logits.float().log_softmax(-1)

    def tails(
        self, texts: Sequence[Sequence[int]], starts: Sequence[int], counts: Sequence[int]
    ) -> list[Tensor]:
        """Return for each text the log probabilities of `counts` tokens from `starts` on."""
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        # The last token is only predicted: it need not be read.
        hidden = self.hidden([text[: end - 1] for text, end in zip(texts, ends, strict=True)])
        states: list[Tensor] = []
        wanted: list[int] = []
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            states.append(hidden[i, start - 1 : end - 1])
            wanted.extend(texts[i][start:end])
        found = self.log_probs(torch.cat(states))
        index = torch.tensor(wanted, device=found.device)[:, None]
        return list(torch.split(found.gather(1, index)[:, 0].cpu(), list(counts)))

    def transcribe(self, most: int) -> list[int]:
        """Return the ids that are likeliest one after another, at most `most`, without the end.

        Where the decoder begins to say the same again, as it is prone to on short clips, it is
        stopped, and what it says twice is given once.
        """
        end = self.text.end
        cache = self._cache(1)
        new = torch.tensor([self.prompt], device=self._states.device)
        out: list[int] = []
        while len(out) < most:
            hidden = self.model.model.decoder(
                input_ids=new,
                encoder_hidden_states=self._states,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[0, -1]
            # Special tokens other than the end are no text; all have higher ids than it.
            token = int(self.model.proj_out(hidden)[: end + 1].argmax())
            if token == end:
                break
            out.append(token)
            again = repeated(out)
            if again:
                return out[:-again]
            new = torch.tensor([[token]], device=self._states.device)
        return out


def repeated(ids: Sequence[int]) -> int:
    """Return how many of the last ids say again what those before them say; 0 where none do.

    Four or more, of three kinds at least: people do say "no no no".
    """
    for count in range(4, len(ids) // 2 + 1):
        last = ids[-count:]
        if last == ids[-2 * count : -count] and len(set(last)) >= 3:
            return count
    return 0
