"""`audiomatch audit`: what would make the figures of a comparison untrue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import data_options, data_path, group_option, split_option
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFile, UserPath


@click.command()
@data_options
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds.")
@group_option("Clips alike in it (A+B: in either) share a fold, as in bench.")
@split_option("The split of bench: rows where it is train, and where it is test.")
@click.option("--test", type=UserPath(), metavar="DATA", help="The test data of bench.")
@click.option(
    "--matchers", "named", metavar="A,B", help="Matchers to compare: by the columns they declare."
)
@click.option("--run", type=UserPath(), help="Run folder of these data: labels it contradicts.")
@click.option("--sheet", type=OutputFile(), help="Write a model info sheet, in Markdown.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="CPU workers.")
@click.option(
    "--cache",
    type=UserPath(),
    help="Folder for features and checks kept between runs [$AUDIOMATCH_CACHE].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def audit(
    data: str | None, named: str | None, sheet: Path | None, as_json: bool, **how: Any
) -> int:
    """Look in DATA (else mini-screener) for what would make the figures of bench untrue.

    What the folds share, what tells the label without listening to the text, what the groups
    allow. Exit code 1 where there is an error.
    """
    import audiomatch
    from audiomatch.auditing.table import findings_table, summary, suspects_table
    from audiomatch.files import atomic_file
    from audiomatch.plugins import registry
    from audiomatch.spec import parse_matchers

    specs = parse_matchers(named) if named else []
    given = [name for spec in specs for name in registry().create(spec).further_columns]
    found = audiomatch.audit(data_path(data), given=given, progress=True, **how)
    if sheet is not None:
        with atomic_file(sheet) as temporary:
            temporary.write_text(found.sheet(), encoding="utf-8")
    if as_json:
        print_json({**found.model_dump(mode="json"), "sheet": found.sheet()})
    else:
        if found.findings:
            print_table(findings_table(found))
        if found.suspects:
            print_table(suspects_table(found))
        click.echo(summary(found))
    return 1 if found.of("error") else 0
