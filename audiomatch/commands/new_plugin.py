"""`audiomatch new-plugin`: write a package with a matcher to start from."""

from __future__ import annotations

from pathlib import Path

import click

TEMPLATE = Path(__file__).parent / "plugin_template"
SUFFIX = ".jinja"


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the current folder",
    help="Where to put the package's folder.",
)
def new_plugin(name: str, folder: Path) -> None:
    """Write the package audiomatch-NAME with a matcher NAME, which installs and passes `check`."""
    from audiomatch.errors import UserError

    distribution = f"audiomatch-{name}"
    _refuse_bad_name(name, distribution)
    target = folder / distribution
    if target.exists():
        raise UserError(f"{target} exists already; take another --folder or another name")
    for file, text in _render(name, distribution).items():
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (target / file).write_text(text, encoding="utf-8")
    click.echo(f"{target}: pip install -e '{target}[dev]', then audiomatch check {name}")


def _refuse_bad_name(name: str, distribution: str) -> None:
    import importlib.metadata

    from audiomatch.errors import UserError
    from audiomatch.plugins import registry
    from audiomatch.spec import NAME

    if not NAME.fullmatch(name):
        raise UserError(
            f"the name {name!r} must be of lower-case letters, digits and hyphens, "
            "a letter first, as in speaking-rate"
        )
    if name in registry().matchers():
        plugin = registry().matchers()[name].plugin
        raise UserError(f"the matcher {name!r} is there already, from {plugin}; take another name")
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return
    raise UserError(f"{distribution} {version} is installed already; take another name")


def _render(name: str, distribution: str) -> dict[str, str]:
    """Return the text of each file of the package, by its path."""
    import jinja2

    import audiomatch

    words = {
        "name": name,
        "distribution": distribution,
        "package": distribution.replace("-", "_"),
        # With a suffix no name becomes one that the template imports.
        "matcher": "".join(part.capitalize() for part in name.split("-")) + "Matcher",
        "audiomatch": ".".join(audiomatch.__version__.split(".")[:2]),
    }
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it writes Python, not HTML
    )
    files = {}
    for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        place = source.relative_to(TEMPLATE).as_posix().removesuffix(SUFFIX)
        # Test files of two plugins must not have one name: pytest may see both.
        place = place.replace("test_package", f"test_{words['package']}")
        place = place.replace("package/", f"{words['package']}/")
        text = source.read_text(encoding="utf-8")
        files[place] = environment.from_string(text).render(words)
    return files
