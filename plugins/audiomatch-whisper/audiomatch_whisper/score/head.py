"""The heads over the evidence: a logistic, and a product of some."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from audiomatch_torch import without_autocast
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Vector = NDArray[np.float64]

PRIOR = 1.0  # precision of the weights' normal prior, as scikit-learn's C = 1
SURE = 3.0  # log odds, at the start, of what only planted answers lack
LOWERED = 0.01  # of the matches, by each part but the first
REFUSED = 0.05  # P under which a text is not asked about further


class Head(nn.Module):
    """Standardises the evidence by fixed means and scales, then one linear unit."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.linear = nn.Linear(width, 1)

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence (n, width) to logits (n,)."""
        with without_autocast(evidence.device):
            logits: Tensor = self.linear((evidence.float() - self.mean) / self.scale)
            return logits.squeeze(1)

    def fit(self, evidence: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        """Start from the logistic regression on the evidence, (n, width), by labels, (n,)."""
        from sklearn.linear_model import LogisticRegression  # seconds, which predicting has not

        mean, scale = _standard(evidence)
        fitted = LogisticRegression(max_iter=1000).fit((evidence - mean) / scale, labels)
        self.put(mean, scale, fitted.coef_[0], float(fitted.intercept_[0]))

    @torch.no_grad()
    def put(self, mean: Vector, scale: Vector, slopes: Vector, bias: float) -> None:
        """Take these numbers, (width,) each."""
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))
        self.linear.weight.copy_(torch.from_numpy(slopes)[None])
        self.linear.bias.fill_(bias)


class ProductHead(nn.Module):
    """The probability that several things hold: the product of a logistic for each.

    What one logistic says against a match, the others cannot outweigh. The first, of the words, is
    what a Whisper is trained by, and is fitted on answers as they are. The others are fitted beside
    it on planted answers too, which then cannot move what it says. Nor do they cost a match that is
    like nearly all others: three parts of 0.97 each would take 0.09 nats from every one.

    Some parts may ask for evidence that costs more than the rest. They lower the product to no less
    than `REFUSED`, so that a text which the others refuse need not be asked about.

    Attributes:
        parts: each of some columns of the evidence, side by side.
        widths: how many columns each has.
        further: how many of the parts, the last ones, lower it to no less than `REFUSED`.
        forgiven: how many nats each part may be short of certain, (parts,).
    """

    forgiven: Tensor

    def __init__(self, widths: Sequence[int], further: Sequence[int] = ()) -> None:
        super().__init__()
        self.widths, self.further = [*widths, *further], len(further)
        widths = self.widths
        self.register_buffer("forgiven", torch.zeros(len(widths)))
        self.parts = nn.ModuleList(Head(width) for width in widths)
        self.parts[1:].requires_grad_(requires_grad=False)

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence (n, sum of widths) to logits, (n,).

        Of the first part's alone, to its logits; of all without the further parts', to the rest's.
        """
        if evidence.shape[1] == self.widths[0]:
            return self.words(evidence)
        with without_autocast(evidence.device):
            against = self._against(evidence)
            against = against - self.forgiven[: len(against)].to(against.device)[:, None]
            against = against.clamp(min=0)
            rest = against[: len(self.widths) - self.further].sum(0)
            least = rest.clamp(min=-math.log(REFUSED))
            total = torch.minimum(against.sum(0), least)  # -log of the product
            return _logit(total).float().to(evidence.device)

    def undecided(self, evidence: Tensor) -> Tensor:
        """Say which texts are to be asked about further, by the evidence before: (n,) of bool."""
        logits: Tensor = self(evidence)
        return logits > math.log(REFUSED) - math.log1p(-REFUSED)

    @property
    def width_before(self) -> int:
        """How many columns the evidence has without those of the further parts."""
        return sum(self.widths[: len(self.widths) - self.further])

    def words(self, evidence: Tensor) -> Tensor:
        """Return the logits of the first part, (n,)."""
        logits: Tensor = self.parts[0](evidence[:, : self.widths[0]])
        return logits

    def only_more(self, evidence: Tensor) -> Tensor:
        """Say where the words fit and the product does not: (n,) of bool."""
        more: Tensor = (self.words(evidence) > 0) & (self(evidence) < 0)
        return more

    def _against(self, evidence: Tensor) -> Tensor:
        """Return -log of the probability of each part, float64 of (parts, n)."""
        whole = evidence.shape[1] > self.width_before
        count = len(self.widths) - (0 if whole else self.further)
        columns = evidence.split(self.widths[:count], dim=1)
        logits = [part(own) for part, own in zip(self.parts[:count], columns, strict=True)]
        stacked = torch.stack(logits)
        if stacked.device.type == "mps":  # which has no float64
            stacked = stacked.cpu()
        return functional.softplus(-stacked.double())

    def fit(self, evidence: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        """Fit the first part, as `Head.fit` does, on evidence of all."""
        first = self.parts[0]
        assert isinstance(first, Head)
        first.fit(evidence[:, : self.widths[0]], labels)

    @torch.no_grad()
    def fit_others(
        self, evidence: Vector, labels: NDArray[np.int8], weights: Vector, own: int
    ) -> None:
        """Fit the other parts beside the first, by the log likelihood of `labels` and a prior.

        Each may then lower `LOWERED` of the matches among answers as they are.

        Args:
            evidence: (n, sum of widths).
            labels: 0 or 1, (n,).
            weights: of each row, (n,).
            own: how many of the rows, the first ones, are answers as they are.
        """
        device = next(self.parameters()).device
        rows = torch.from_numpy(evidence).float().to(device)
        logits = self.words(rows)  # (n,)
        rest = evidence[:, self.widths[0] :]
        mean, scale = _standard(rest[:own])
        cuts = np.cumsum(self.widths[1:])[:-1]
        x = np.split((rest - mean) / scale, cuts, axis=1)
        first = logits.cpu().double().numpy()
        slopes, biases = _fit_product(x, labels.astype(np.float64), weights, first)
        values = (np.split(mean, cuts), np.split(scale, cuts), slopes, biases.tolist())
        for part, *found in zip(self.parts[1:], *values, strict=True):
            assert isinstance(part, Head)
            part.put(*found)
        against = self._against(rows).cpu().numpy()[1:, :own][:, labels[:own] == 1]
        self.forgiven[1:] = torch.from_numpy(np.quantile(against, 1 - LOWERED, axis=1))


def _standard(evidence: Vector) -> tuple[Vector, Vector]:
    """Return mean and scale of each column, (width,) each."""
    mean, scale = evidence.mean(axis=0), evidence.std(axis=0)
    return mean, np.where(scale < 1e-6, 1.0, scale)


def _logit(against: Tensor) -> Tensor:
    """Return the logit of a probability by -log of it, (n,)."""
    against = against.clamp(min=1e-12)
    return -(against + torch.log(-torch.expm1(-against)))


def _fit_product(
    x: Sequence[Vector], labels: Vector, weights: Vector, first: Vector
) -> tuple[list[Vector], Vector]:
    """Return the slopes of each part, (width,) each, and their biases, by maximum a posteriori.

    Args:
        x: standardised evidence of each part, (n, width) each.
        labels: 0 or 1, (n,).
        weights: of each row, (n,).
        first: logits of a part that stays as it is, (n,).
    """
    from scipy.optimize import minimize  # seconds, which predicting has not
    from scipy.special import expit

    count, cuts = len(x), np.cumsum([own.shape[1] for own in x])
    given = np.logaddexp(0, -first)

    def loss(at: Vector) -> tuple[float, Vector]:
        slopes, bias = np.split(at[: cuts[-1]], cuts[:-1]), at[cuts[-1] :]
        z = np.array([own @ w + b for own, w, b in zip(x, slopes, bias, strict=True)])
        against = np.maximum(given + np.logaddexp(0, -z).sum(0), 1e-12)  # -log of the product
        each = labels * against - (1 - labels) * np.log(-np.expm1(-against))
        slope = weights * (labels - (1 - labels) / np.expm1(np.minimum(against, 700)))
        by_part = -slope * expit(-z)  # (parts, n)
        gradient = [own.T @ g + PRIOR * w for own, g, w in zip(x, by_part, slopes, strict=True)]
        penalty = PRIOR / 2 * float(np.square(at[: cuts[-1]]).sum())
        return float(weights @ each) + penalty, np.concatenate([*gradient, by_part.sum(1)])

    start = np.concatenate([np.zeros(cuts[-1]), np.full(count, SURE)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return np.split(found[: cuts[-1]], cuts[:-1]), found[cuts[-1] :]
