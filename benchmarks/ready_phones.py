"""Packs the model that audiomatch-phones carries: what was fitted, which holds no recording.

    audiomatch fit phones DATA --group speaker --out MODEL
    python benchmarks/ready_phones.py MODEL --named NAME

Prints the digest that goes into the plugin.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from audiomatch_phones.matcher import STATE

from audiomatch.files import atomic_folder, write_json
from audiomatch.model import CARD, digest_of_folder

FOLDER = Path(__file__).parents[1] / "plugins/audiomatch-phones/audiomatch_phones/ready"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--named", required=True, help="What the card calls the data.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    card = json.loads((options.model / CARD).read_text(encoding="utf-8"))
    card.pop("files", None)
    card["fit"]["notes"]["data"] = options.named
    with atomic_folder(options.folder) as made:
        shutil.copyfile(options.model / STATE, made / STATE)
        write_json(made / CARD, card)
    print(digest_of_folder(options.folder))


if __name__ == "__main__":
    main()
