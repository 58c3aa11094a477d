"""Greedy transcripts of several clips at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from audiomatch_whisper.tokens import TextEncoder
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration


@dataclass
class Transcript:
    """The ids of a transcript, the log probability of each and of the end, if it was reached."""

    ids: list[int]
    log_p: list[float]
    ended: bool


def transcribe(
    model: WhisperForConditionalGeneration,
    text: TextEncoder,
    prompt: tuple[int, ...],
    states: Tensor,
    most: Sequence[int],
) -> list[Transcript]:
    """Take the likeliest token after each, from encoder states (n, s, d).

    `most` holds the greatest number of tokens of each clip: on silence and noise a decoder may
    never end.
    """
    n = len(states)
    out = [Transcript([], [], False) for _ in range(n)]
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    new = torch.tensor([prompt] * n, device=states.device)
    for step in range(max(most) + 1):
        open_rows = [i for i in range(n) if not out[i].ended and step < most[i]]
        if not open_rows:
            break
        hidden = model.model.decoder(
            input_ids=new, encoder_hidden_states=states, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
        log_p = model.proj_out(hidden).float().log_softmax(-1)
        # Special tokens other than the end are no text; all have higher ids than it.
        best = log_p[:, : text.end + 1].max(-1)
        values, tokens = best.values.tolist(), best.indices.tolist()
        for i in open_rows:
            out[i].log_p.append(values[i])
            out[i].ended = tokens[i] == text.end
            if not out[i].ended:
                out[i].ids.append(tokens[i])
        new = best.indices[:, None]
    return out
