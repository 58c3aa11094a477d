"""What imports what: layers go one way, and other plugins see the public face alone."""

import ast
from pathlib import Path

import audiomatch_whisper

PACKAGE = Path(audiomatch_whisper.__file__).parent
PLUGINS = Path(__file__).parents[2]
# Each may import those of its own line and of the lines above it.
LAYERS = (
    {"config"},
    {"text", "sound"},
    {"net"},
    {"score"},
    {"train", "explain", "backbone"},
    {"matcher"},
)
LAYER_OF = {part: i for i, parts in enumerate(LAYERS) for part in parts}


def imports(file):
    """The modules that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(file):
    """The parts of this package that a file imports."""
    found = {name.split(".")[1] for name in imports(file) if name.startswith("audiomatch_whisper.")}
    return found & LAYER_OF.keys()


def test_layers_import_what_is_above_them_alone():
    for file in PACKAGE.rglob("*.py"):
        part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part != "__init__":
            for other in parts_imported(file) - {part}:
                assert LAYER_OF[other] < LAYER_OF[part], f"{file} imports {other}"


def test_other_plugins_import_the_public_face_alone():
    for folder in PLUGINS.iterdir():
        if folder.name != "audiomatch-whisper":
            for file in folder.rglob("*.py"):
                assert parts_imported(file) <= {"backbone"}, file
