"""The floor `text-only`: logistic regression on the expected text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.floors.logistic import Logistic, fit_logistic
from audiomatch.matcher import Matcher, Run


class TextOnlyConfig(MatcherConfig):
    """Options of `text-only`."""

    longest: int = Field(4, ge=2, le=6, description="Longest n-gram of characters.")
    terms: int = Field(
        20_000, ge=10, le=200_000, description="Most n-grams, and most words, that are kept."
    )


class TextOnly(Matcher):
    """TF-IDF of character n-grams and of words, then logistic regression.

    The penalty is chosen on texts held out inside the training part, so that a text's own share of
    matches is not learned by heart.
    """

    Config = TextOnlyConfig
    model: Logistic | None = None

    def fit(self, train: Clips, run: Run) -> None:
        """Learn vocabularies and coefficients."""
        texts, rows = np.unique(np.asarray(train.text_groups, dtype=object), return_inverse=True)
        self.vectorizers, parts = [], []
        for vectorizer in self._vectorizers():
            try:
                parts.append(vectorizer.fit_transform(texts))
            except ValueError:
                continue  # an empty vocabulary: texts of nothing but punctuation
            self.vectorizers.append(vectorizer)
        self.model = fit_logistic(_joined(parts, len(texts)), rows, train, run.seed)

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:  # noqa: ARG002 - the contract's
        """Return the probability that a text like this goes with a match."""
        model = self.fitted(self.model)
        texts, rows = np.unique(np.asarray(clips.text_groups, dtype=object), return_inverse=True)
        return model.predict(self._features(texts.tolist()))[rows]

    def save(self, folder: Path) -> None:
        """Write vocabularies and coefficients as JSON."""
        model = self.fitted(self.model)
        content = {
            "vocabularies": [
                {
                    "analyzer": vectorizer.analyzer,
                    "terms": vectorizer.get_feature_names_out().tolist(),
                    "idf": vectorizer.idf_.tolist(),
                }
                for vectorizer in self.vectorizers
            ],
            "coefficients": model.coefficients.tolist(),
            "intercept": model.intercept,
            "c": model.c,
        }
        text = json.dumps(content, ensure_ascii=False)
        (folder / "floor.json").write_text(text, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read them again."""
        content = json.loads((folder / "floor.json").read_text(encoding="utf-8"))
        empty = {vectorizer.analyzer: vectorizer for vectorizer in self._vectorizers()}
        self.vectorizers = []
        for kept in content["vocabularies"]:
            vectorizer = empty[kept["analyzer"]]
            vectorizer.vocabulary = kept["terms"]
            vectorizer.idf_ = np.asarray(kept["idf"])
            self.vectorizers.append(vectorizer)
        self.model = Logistic(
            np.asarray(content["coefficients"], np.float64), content["intercept"], content["c"]
        )

    def _vectorizers(self) -> list[TfidfVectorizer]:
        terms = self.config.terms
        return [
            TfidfVectorizer(
                analyzer="char_wb", ngram_range=(2, self.config.longest), max_features=terms
            ),
            TfidfVectorizer(analyzer="word", token_pattern=r"\S+", max_features=terms),  # noqa: S106
        ]

    def _features(self, texts: list[str]) -> sparse.csr_matrix:
        return _joined([vectorizer.transform(texts) for vectorizer in self.vectorizers], len(texts))


def _joined(parts: list[sparse.csr_matrix], n: int) -> sparse.csr_matrix:
    """Return the features side by side, (n, d); a column of zeros is there where nothing is."""
    return sparse.hstack([sparse.csr_matrix((n, 1)), *parts], format="csr")
