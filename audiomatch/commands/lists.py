"""`audiomatch matchers`, `plugins` and `datasets`: what is installed."""

from __future__ import annotations

import click

from audiomatch.commands.output import print_json, show_rows

NOTHING = "offers nothing: no function is marked with @audiomatch.hookimpl, or none gave anything"


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def matchers(name: str | None, as_json: bool) -> None:
    """List the matchers that are installed, or show presets and options of the matcher NAME."""
    from audiomatch.plugins import registry
    from audiomatch.spec import READY

    if name is not None:
        _show_matcher(name, as_json)
        return
    rows = [
        {
            "matcher": name,
            "presets": sorted({"default", *offer.info.presets}),
            "kind": offer.info.kind,
            "ready": name + READY if offer.info.ready else "",
            "summary": f"broken: {offer.problem}" if offer.problem else offer.info.summary,
            "plugin": str(offer.plugin),
        }
        for name, offer in registry().matchers().items()
    ]
    show_rows("Matchers", ["matcher", "presets", "ready", "summary", "plugin"], rows, as_json)


def _show_matcher(name: str, as_json: bool) -> None:
    from dataclasses import asdict

    from audiomatch.describe import describe_options, describe_preset
    from audiomatch.plugins import registry
    from audiomatch.spec import DEFAULT_PRESET, parse_matcher

    spec = parse_matcher(name)
    offer = registry().offer(spec)
    info = offer.info
    options = [
        {**asdict(one), "type": one.type.replace("`", "")}
        for one in describe_options(offer.matcher_type().Config)
    ]
    presets = {
        preset: describe_preset(given)
        for preset, given in {DEFAULT_PRESET: {}, **info.presets}.items()
    }
    if as_json:
        print_json(
            {
                "matcher": info.name,
                "summary": info.summary,
                "kind": info.kind,
                "plugin": str(offer.plugin),
                "ignores": sorted(info.ignores),
                "columns": list(info.columns),
                "explains": info.explains,
                "presets": presets,
                "flags": [asdict(flag) for flag in info.flags],
                "options": options,
            }
        )
        return
    click.echo(f"{info.name}: {info.summary} ({offer.plugin})\n")
    rows = [{"preset": name, "options": " ".join(given)} for name, given in presets.items()]
    show_rows("Presets", ["preset", "options"], rows, as_json)
    if options:
        click.echo()
        show_rows("Options", list(options[0]), options, as_json)


@click.command()
@click.option("--load", is_flag=True, help="Import every matcher's code too, and try its presets.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def plugins(load: bool, as_json: bool) -> None:
    """List the plugins that are installed, what they offer, and why one is broken."""
    from audiomatch.plugins import registry

    found = registry()
    faults = [(o.plugin, f) for o in found.matchers().values() for f in o.faults()] if load else []
    rows = []
    for plugin in found.plugins:
        problems = [*plugin.problems, *(fault for other, fault in faults if other is plugin)]
        error = "; ".join(dict.fromkeys(problems)) or None
        rows.append(
            {
                "plugin": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "module": plugin.module,
                "offers": plugin.offers,
                "status": f"broken: {error}" if error else "ok" if plugin.offers else NOTHING,
                "error": error,
            }
        )
    show_rows("Plugins", ["plugin", "distribution", "version", "offers", "status"], rows, as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def datasets(as_json: bool) -> None:
    """List the dataset layouts that are known."""
    from audiomatch.plugins import registry

    rows = [
        {"dataset": name, "needs_path": info.needs_path, "summary": info.summary}
        for name, info in registry().datasets().items()
    ]
    show_rows("Datasets", ["dataset", "summary"], rows, as_json)
