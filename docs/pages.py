"""The reference pages, made of docstrings, click commands and matchers' options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import audiomatch.api
import audiomatch.plugins
import audiomatch.records
from audiomatch import Matcher, MatcherInfo, Run, hookspecs
from audiomatch.audio import load_audio, map_audio
from audiomatch.cache import ArrayCache
from audiomatch.calibration import Calibration
from audiomatch.cli import cli
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.datasets import DatasetInfo
from audiomatch.describe import describe_options, describe_preset
from audiomatch.errors import ClipError, NotFittedError, PluginError, UserError, WeightsError
from audiomatch.files import (
    atomic_file,
    atomic_folder,
    check_output_file,
    check_output_folder,
    user_path,
    write_json,
)
from audiomatch.folds import inner_folds, inner_split
from audiomatch.matcher import Flag
from audiomatch.negatives import WrongTexts
from audiomatch.offers import Offer
from audiomatch.probing.answers import Answer
from audiomatch.probing.info import ProbeInfo
from audiomatch.probing.prober import Probed
from audiomatch.progress import Progress
from audiomatch.records import Record
from audiomatch.running.identity import computed_by
from audiomatch.testing import (
    ContractError,
    Report,
    Result,
    check_matcher,
    parametrize_with_checks,
)
from audiomatch.testing.registry import CHECKS

MADE = "<!-- made by docs/build.py from the code; edit that, and run it -->\n"
ROOT = Path(__file__).parents[1]
FIELDS = re.compile(r"(<!-- fields: (\w+) -->\n)(?:\|.*\n)*")
FACE = (
    audiomatch.compare,
    audiomatch.Comparison,
    audiomatch.fit,
    audiomatch.load,
    audiomatch.Model,
    audiomatch.evaluate,
    audiomatch.Evaluation,
    audiomatch.audit,
    audiomatch.probe,
    Probed,
)
API: dict[str, tuple[Any, ...]] = {
    "The contract": (Matcher, MatcherConfig, MatcherInfo, Flag, Run, Progress, DatasetInfo),
    "The clips": (Clips, load_audio, map_audio, inner_split, inner_folds, WrongTexts, Calibration),
    "Probes": (ProbeInfo, Answer),
    "Files and errors": (
        ArrayCache,
        computed_by,
        atomic_file,
        atomic_folder,
        check_output_file,
        check_output_folder,
        user_path,
        write_json,
        UserError,
        ClipError,
        NotFittedError,
        PluginError,
        WeightsError,
    ),
    "Testing": (check_matcher, parametrize_with_checks, Report, Result, ContractError),
}


def hooks_page() -> str:
    """Return the page of the hooks, of their specs' docstrings."""
    parts = [MADE, "# Hooks\n", _text(hookspecs.__doc__)]
    for name, hook in hookspecs.hooks().items():
        parts += [f"## {name}\n", _code(f"{name}{_signature(hook)}"), _text(hook.__doc__)]
    return "\n".join(parts)


def commands_page(known: str) -> str:
    """Return the page of the commands, of click's own facts.

    Those of this repository's plugins come last, as in `matchers_page`: of one that is not
    installed the section in `known` stays.
    """
    own = [_command_section(name, command) for name, command in cli.commands.items()]
    kept = sections_of(known)
    for name in cli.commands:
        kept.pop(f"audiomatch {name}", None)
    offered = {**kept, **_offered_commands()}
    head = "\n".join([MADE, "# Commands\n", _text(cli.help)])
    return head + "\n" + "".join([*own, *(offered[name] for name in sorted(offered))])


def _offered_commands() -> dict[str, str]:
    """Return a section for each command that an installed plugin of this repository offers."""
    registry = audiomatch.plugins.registry()
    by = {one: p.distribution for p in registry.plugins for one in p.offers}
    return {
        f"audiomatch {name}": _command_section(name, command, by[f"command {name}"])
        for name, command in registry.commands().items()
        if (ROOT / "plugins" / by[f"command {name}"]).is_dir()
    }


def _command_section(name: str, command: click.Command, plugin: str = "") -> str:
    context = click.Context(command, info_name=f"audiomatch {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## audiomatch {name}\n"] + ([f"From `{plugin}`.\n"] if plugin else [])
    parts += [_code(f"audiomatch {name} {usage}", "")]
    parts += [_text(command.help), "| option | default | |\n|---|---|---|"]
    for option in options(command):
        record = option.get_help_record(context)
        shown = record[0] if record else ", ".join(option.opts)
        default = "" if not option.show_default else _default(option, context)
        parts.append(f"| `{_cell(shown)}` | {default} | {_cell(option.help or '')} |")
    return "\n".join([*parts, "", ""])


def options(command: click.Command) -> Iterator[click.Option]:
    """Give the options of a command."""
    return (p for p in command.params if isinstance(p, click.Option))


def _default(option: click.Option, context: click.Context) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    return f"`{option.get_default(context)}`"


def api_page() -> str:
    """Return the page of what a plugin imports, of docstrings."""
    parts = [MADE, "# What a plugin imports\n"]
    for title, members in API.items():
        parts.append(f"## {title}\n")
        for member in members:
            parts += _member(member)
    parts += ["## Checks\n", "What `audiomatch check` and `check_matcher` prove, in order.\n"]
    parts += [f"- `{check.name}`: {check.proves}." for check in CHECKS.values()]
    return "\n".join([*parts, ""])


def face_page() -> str:
    """Return the page of what a notebook imports, of docstrings."""
    parts = [MADE, "# The Python face\n", _text(audiomatch.api.__doc__)]
    for member in FACE:
        parts.append(f"## {member.__name__}\n")
        if inspect.isfunction(member):
            parts.append(_code(f"audiomatch.{member.__name__}{_signature(member)}"))
        parts.append(_text(member.__doc__))
        if inspect.isclass(member):
            parts += _long_methods(member)
    return "\n".join(parts)


def _member(member: Any) -> Iterator[str]:
    yield f"### {member.__name__}\n"
    yield f"`{member.__module__}.{member.__name__}`\n"
    if inspect.isfunction(member):
        yield _code(member.__name__ + _signature(member))
    yield _text(member.__doc__)
    if inspect.isclass(member):
        yield from _methods(member)


def _long_methods(member: type) -> Iterator[str]:
    """Give each property and method under a heading of its own."""
    for name, value in vars(member).items():
        if not name.startswith("_") and (isinstance(value, property) or _is_method(name, value)):
            yield f"### {member.__name__}.{name}\n"
            if _is_method(name, value):
                yield _code(name + _signature(value))
            yield _text(value.__doc__)


def _methods(member: type) -> Iterator[str]:
    for name, value in vars(member).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"- `{name}`: {_line(value.__doc__)}"
        elif _is_method(name, value):
            yield f"- `{name}{_signature(value)}`: {_line(value.__doc__)}"
    yield ""


def _is_method(name: str, value: Any) -> bool:
    """Whether it is a method, and no field whose default is a function."""
    return inspect.isfunction(value) and value.__name__ == name


def matchers_page(known: str) -> str:
    """Return the page of the matchers' options.

    A section is made anew for each matcher of this repository that is installed and loads; of the
    others the section in `known` stays, so that what is installed here does not decide the page.
    """
    sections = {**sections_of(known), **made_sections()}
    head = [MADE, "# Matchers and their options\n"]
    head.append(
        "As in `whisper:baseline@epochs=1`; `audiomatch matchers` lists what is installed.\n"
    )
    return "\n".join(head) + "\n" + "".join(sections[name] for name in sorted(sections))


def sections_of(page: str) -> dict[str, str]:
    """Return the sections of a page by their titles."""
    found = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {text.splitlines()[0].removeprefix("## "): text for text in found}


def made_sections() -> dict[str, str]:
    """Return a section for each installed matcher of this repository whose code loads."""
    sections = {}
    for name, offer in audiomatch.plugins.registry().matchers().items():
        ours = offer.plugin.distribution
        if ours == hookspecs.DISTRIBUTION or (ROOT / "plugins" / ours).is_dir():
            try:
                config = offer.matcher_type().Config
            except PluginError as error:
                if isinstance(error.__cause__, ImportError):
                    continue  # its libraries are not installed here
                raise
            sections[name] = _section(name, offer, config)
    return sections


def _section(name: str, offer: Offer, config: type[MatcherConfig]) -> str:
    info = offer.info
    parts = [f"## {name}\n", f"{_sentence(info.summary)} From `{offer.plugin.distribution}`.\n"]
    if info.columns:
        parts.append(f"Uses the columns {', '.join(f'`{name}`' for name in info.columns)}.\n")
    if info.ignores:
        parts.append(f"Ignores the {' and the '.join(sorted(info.ignores))}.\n")
    if config.model_fields:
        parts.append("| option | type | default | range | |\n|---|---|---|---|---|")
        for one in describe_options(config):
            row = (f"`{one.option}`", one.type, f"`{one.default}`", one.range, one.meaning)
            parts.append(f"| {' | '.join(map(_cell, row))} |")
        parts.append("")
    for preset, values in info.presets.items():
        shown = ", ".join(f"`{one}`" for one in describe_preset(values)) or "the defaults"
        parts.append(f"- preset `{preset}`: {shown}")
    parts += [f"- flag `--{flag.name} {flag.metavar}`: {flag.help}" for flag in info.flags]
    if info.presets or info.flags:
        parts.append("")
    return "\n".join(parts) + "\n"


def files_page(text: str) -> str:
    """Return the page of the files with the table after each `<!-- fields: RECORD -->` filled."""
    return FIELDS.sub(lambda found: found[1] + _fields(getattr(audiomatch.records, found[2])), text)


def _fields(record: type[Record]) -> str:
    properties = record.model_json_schema()["properties"]
    lines = ["| key | JSON | |", "|---|---|---|"]
    for name, field in record.model_fields.items():
        kind = _cell(_json_type(properties[name]))
        lines.append(f"| `{name}` | {kind} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _json_type(schema: dict[str, Any]) -> str:
    """Return the type of a field as a reader of JSON sees it; a record's own name for a record."""
    if "$ref" in schema:
        name = str(schema["$ref"].rpartition("/")[2])
        return "any" if name == "JsonValue" else name
    if "allOf" in schema:  # of one, by pydantic before 2.8
        return _json_type(schema["allOf"][0])
    if "anyOf" in schema:
        return " or ".join(_json_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_json_type(schema['items'])}"
    return str(schema.get("type", "any"))


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    wanted = [p for name, p in signature.parameters.items() if name != "self"]
    # Annotations are text here, and would be shown in quotes.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=wanted)))


def _text(doc: str | None) -> str:
    """Return a docstring as Markdown: its sections as lists."""
    lines = inspect.cleandoc(doc or "").splitlines()
    out: list[str] = []
    section = False
    for line in lines:
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            section = True
            out += [f"**{line[:-1]}**", ""]
            continue
        if section and line.startswith("    "):
            inner = line[4:]
            item = re.match(r"(\w+): (.*)", inner)
            out.append(f"- `{item[1]}`: {item[2]}" if item else inner)
            continue
        section = section and not line
        out.append(line)
    return "\n".join(out) + "\n"


def _line(doc: str | None) -> str:
    paragraphs = inspect.cleandoc(doc or "").split("\n\n")
    return " ".join(" ".join(paragraphs).split())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```\n"
