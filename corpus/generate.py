"""Generate the mini-screener: ``python -m corpus.generate --out FOLDER``."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from corpus.plan import FIELDS, SEED, Clip, make_plan, manifest_row

OUT = Path(__file__).parents[1] / "audiomatch" / "datasets" / "mini_screener"
# The position on libsndfile's scale of 0 to 1 between the codec's highest and lowest bit rate.
COMPRESSION = 0.93


def write_manifest(plan: list[Clip], path: Path) -> None:
    """Write the manifest of a plan."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(manifest_row(clip) for clip in plan)


def write_clip(clip: Clip, folder: Path) -> None:
    """Synthesise a clip and write it as Ogg Opus."""
    import soundfile as sf

    from corpus.effects import cut_short, record
    from corpus.phonemes import parse_spoken
    from corpus.synth import ENGINES, RATE

    speak = ENGINES[clip.voice.engine]
    parts = []
    for part in parse_spoken(clip.spoken):
        said = speak(part, clip.voice.source, clip.acoustics.seed)
        parts.append(cut_short(said, part.share) if part.share < 1.0 else said)
    audio = record(parts, clip.voice, clip.acoustics)
    sf.write(
        folder / f"{clip.id}.ogg",
        audio,
        RATE,
        format="OGG",
        subtype="OPUS",
        compression_level=COMPRESSION,
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--plan-only", action="store_true", help="write the manifest alone")
    parser.add_argument("--voice", action="append", help="make the clips of this voice alone")
    parser.add_argument("--error", action="append", help="make the clips with this error alone")
    args = parser.parse_args()
    plan = make_plan(args.seed)
    clips = args.out / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    write_manifest(plan, args.out / "manifest.csv")
    if args.plan_only:
        return
    if not (args.voice or args.error):
        for old in clips.glob("*.ogg"):
            old.unlink()
    for clip in plan:
        asked = not args.voice or clip.voice.name in args.voice
        if asked and (not args.error or clip.error in args.error):
            write_clip(clip, clips)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{len(plan)} clips, {size / 1e6:.2f} MB in {args.out}")


if __name__ == "__main__":
    main()
