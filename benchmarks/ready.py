"""Makes the model that the package audiomatch-whisper carries: what is fitted, without the Whisper.

    python benchmarks/ready.py DATA --named NAME

DATA is labelled speech. The untrained tiny.en stays as it is, so that the model is two logistics of
eight numbers and the name of the weights' package. Prints the digest that goes into the plugin.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from audiomatch_whisper.matcher import HEAD, REFERENCE

import audiomatch
from audiomatch.files import atomic_folder, write_json
from audiomatch.model import CARD, digest_of_folder

FOLDER = Path(__file__).parents[1] / "plugins/audiomatch-whisper/audiomatch_whisper/ready"
SIZE = "tiny.en"
KEPT = (CARD, HEAD, "words.safetensors", "calibration.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--named", required=True, help="What the card calls the data.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--explain-clips", type=int, default=400)
    options = parser.parse_args()
    matcher = f"whisper@epochs=0@size={SIZE}@explain_clips={options.explain_clips}"
    model = audiomatch.fit(matcher, options.data, progress=True)
    assert model.card.fit is not None
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "model")
        with atomic_folder(options.folder) as made:
            for name in KEPT:
                shutil.copy(Path(place) / "model" / name, made / name)
            notes = model.card.fit.notes
            reference = {"size": SIZE, "digest": notes["weights_digest"]}
            write_json(made / REFERENCE, reference)
            card = json.loads((made / CARD).read_text(encoding="utf-8"))
            card["fit"]["notes"] = {**notes, "data": options.named}
            card["fit"]["skipped"] = []
            write_json(made / CARD, card)
    print(digest_of_folder(options.folder))


if __name__ == "__main__":
    main()
