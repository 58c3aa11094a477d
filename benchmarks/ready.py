"""Packs the model that audiomatch-whisper carries: what was fitted, without the Whisper.

    audiomatch fit whisper@epochs=0 DATA --out MODEL
    python benchmarks/ready.py MODEL --named NAME

The untrained tiny.en stays as it is, so that the model is a few logistics of some numbers and the
name of the weights. Prints the digest that goes into the plugin.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from audiomatch_whisper.matcher import HEAD, REFERENCE
from audiomatch_whisper.sound.speech_check import FILE as SPEECH

from audiomatch.files import atomic_folder, write_json
from audiomatch.model import CARD, digest_of_folder

FOLDER = Path(__file__).parents[1] / "plugins/audiomatch-whisper/audiomatch_whisper/ready"
KEPT = (HEAD, "words.safetensors", "calibration.json", SPEECH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--named", required=True, help="What the card calls the data.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    card = json.loads((options.model / CARD).read_text(encoding="utf-8"))
    notes = card["fit"]["notes"]
    card.pop("files", None)  # of the whole model; the digest that is printed is of what is packed
    with atomic_folder(options.folder) as made:
        for name in KEPT:
            shutil.copyfile(options.model / name, made / name)
        write_json(made / REFERENCE, {"size": "tiny.en", "digest": notes["weights_digest"]})
        notes["data"] = options.named
        write_json(made / CARD, card)
    print(digest_of_folder(options.folder))


if __name__ == "__main__":
    main()
