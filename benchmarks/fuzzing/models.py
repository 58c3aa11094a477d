"""A small model of every matcher that ships, and small weights in each format."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import audiomatch
from benchmarks.fuzzing.damage import without_seals

_PLUGINS = Path(__file__).parents[2] / "plugins"
LIGHT = (
    "prior",
    "base-rate",
    "text-only",
    "audio-only",
    "xgboost@features=audio@rounds=8@inner_folds=2",
    "lightgbm@features=audio@rounds=8@inner_folds=2",
    "ensemble:mean@members=(prior,text-only)",
    "ensemble@members=(prior,text-only)@method=logistic",
    "ensemble@members=(prior,lightgbm@features=audio@rounds=4)@method=lightgbm",
)


def _tests_of(plugin: str, module: str = "conftest") -> dict[str, Any]:
    """Return what a module of a plugin's tests defines: its makers of small weights."""
    return runpy.run_path(str(_PLUGINS / f"audiomatch-{plugin}" / "tests" / f"{module}.py"))


def whisper_weights(place: Path) -> Path:
    """Write a Hugging Face folder of a Whisper of two layers."""
    made = _tests_of("whisper")
    made["make_model"]("bytes").save_pretrained(place)
    made["make_tokenizer"]("bytes").save(str(place / "tokenizer.json"))
    return place


def ctranslate2_weights(place: Path, kind: str) -> Path:
    """Write the same as CTranslate2 does."""
    made, weights = _tests_of("whisper"), _tests_of("whisper", "test_whisper_weights")
    place.mkdir()
    model = made["make_model"]("bytes")
    weights["write_ct2"](place / "model.bin", weights["ct2_names"](model), kind=kind)
    made["make_tokenizer"]("bytes").save(str(place / "tokenizer.json"))
    return place


def torch_matchers(place: Path) -> dict[str, str]:
    """Write small weights, and return how each torch matcher is named to be fitted on them."""
    place.mkdir()
    write_ctc = _tests_of("ctc")["write_checkpoint"]
    hubert, phones = (write_ctc(place / kind, kind) for kind in ("hubert", "wav2vec2-phones"))
    parakeet = write_ctc(place / "parakeet", "parakeet")
    bert = place / "bert"
    bert.mkdir()
    _tests_of("two-tower")["write_minilm"](bert)
    whisper = whisper_weights(place / "whisper")
    return {
        "whisper": f"whisper@weights={whisper}@epochs=1",
        "hubert-ctc": f"hubert-ctc@weights={hubert}@epochs=1@freeze=encoder",
        "hubert-ctc-scratch": "hubert-ctc@weights=scratch@epochs=1@ctc_epochs=0@scratch_width=16",
        "ctc-phones": f"ctc@weights={phones}@epochs=1@freeze=encoder",
        "ctc-parakeet": f"ctc@weights={parakeet}@epochs=1@freeze=encoder",
        "clap": "clap@weights=scratch@epochs=1",
        "two-tower": f"two-tower@epochs=1@text_weights={bert}",
        "two-tower-whisper": "two-tower@epochs=1@audio=transformer"
        f"@audio_weights={whisper}@text_weights={bert}",
    }


def fitted(named: str, place: Path, cache: Path) -> Path:
    """Fit a matcher on a few clips and save it in `place`, without digests."""
    model = audiomatch.fit(named, "mini-screener", limit=40, device="cpu", cache=cache)
    return without_seals(model.save(place))
