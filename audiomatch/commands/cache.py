"""`audiomatch cache`: what is kept between runs, and how to be rid of it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

from audiomatch.commands.output import show_rows
from audiomatch.commands.paths import UserPath


@click.command()
@click.option("--cache", "folder", type=UserPath(), help="The folder [$AUDIOMATCH_CACHE].")
@click.option("--remove", metavar="NAME,…", help="Remove these parts of it; 'all' for each.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove the parts that were not written to for so long.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def cache(folder: Path | None, remove: str | None, older_than: float | None, as_json: bool) -> None:
    """List what is kept between runs, or remove parts of it. Whatever is removed is made again."""
    from audiomatch.errors import UserError, unknown
    from audiomatch.machine import default_cache
    from audiomatch.running.array_store import ArrayStore
    from audiomatch.shards import PREFIX

    place = (folder or default_cache()).resolve()
    stores = [ArrayStore(inside) for inside in sorted(place.glob("*")) if inside.is_dir()]
    kept = {one.folder.name: (one, found) for one in stores if (found := one.contents())}
    wanted = set(kept) if remove == "all" else set((remove or "").split(",")) - {""}
    for name in sorted(wanted - set(kept)):
        raise UserError(f"--remove {name}: {unknown('part of the cache', name, kept)}")
    if older_than is not None:
        before = time.time() - older_than * 86_400
        wanted |= {name for name, (_, found) in kept.items() if found.written < before}
    for name in wanted:
        kept[name][0].remove()
        if name.startswith(PREFIX):  # features of a part that was killed
            shutil.rmtree(place / name, ignore_errors=True)
    rows = [
        {
            "part": name,
            "arrays": "damaged" if found.arrays is None else found.arrays,
            "MB": round(found.size / 1e6, 1),
            "written": time.strftime("%Y-%m-%d %H:%M", time.localtime(found.written)),
            "removed": name in wanted,
        }
        for name, (_, found) in kept.items()
    ]
    show_rows(str(place), ["part", "arrays", "MB", "written"] + ["removed"] * bool(wanted), rows,
              as_json)  # fmt: skip
