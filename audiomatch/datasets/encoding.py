"""The bytes of a table as text."""

from __future__ import annotations

import codecs
import re
import warnings

from audiomatch.errors import DataWarning, UserError

# The longer mark first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_SYMBOL = "€‚ƒ„†‡ˆ‰‹›•˜™¡¢£¤¥¦§¨©ª«¬®¯°±²³µ¶¸¹º»¼½¾¿×÷"
# What cp1252 makes of another encoding: many accented letters in a row, a symbol within a word, two
# symbols in a row, or a capital with an accent after a small letter.
_STRANGE = re.compile(
    rf"[À-ÖØ-öø-ÿŠšŽžŒœŸ]{{4}}|(?<=[^\W\d_])[{_SYMBOL}](?=[^\W\d_])|[{_SYMBOL}]{{2}}"
    r"|[a-z][À-ÖØ-ÞŠŽŸ]"
)


def decode_text(data: bytes, name: str) -> str:
    """Decode UTF-8, or what the byte order mark says; a line that is not UTF-8 is read as cp1252.

    `name` is the file's, for errors and for the warning about such lines. Raises `UserError` for a
    line that makes no sense in either, and for what is no text.
    """
    mark, encoding = _encoding(data)
    content = data.removeprefix(mark)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise UserError(
                f"{name}: begins as {encoding[:6].upper()} and is not: {error.reason}"
            ) from None
        text = _by_line(content, name)
    if "\0" in text[: text.find("\n") + 1] or text.startswith("\0"):
        raise UserError(
            f"{name}: NUL bytes in its first line (damaged, or UTF-16 without its mark?); "
            "save it as UTF-8"
        )
    return text


def _encoding(data: bytes) -> tuple[bytes, str]:
    """Return the byte order mark, empty where there is none, and the encoding."""
    return next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))


def encode_like(text: str, data: bytes) -> bytes:
    """Encode a text as `data` is encoded, with its byte order mark.

    That is cp1252 where no line beyond ASCII is UTF-8, and UTF-8 where some are.
    """
    mark, encoding = _encoding(data)
    lines = [] if encoding != "utf-8" else [one for one in data.split(b"\n") if not one.isascii()]
    foreign = bool(lines) and not mark and not any(map(_is_utf8, lines))
    return mark + text.encode("cp1252" if foreign else encoding)


def _is_utf8(line: bytes) -> bool:
    try:
        return bool(line.decode())
    except UnicodeDecodeError:
        return False


def _by_line(data: bytes, name: str) -> str:
    lines, foreign = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(_western(line, f"{name}, row {number}"))
            foreign.append(number)
    lines_are = "1 line is" if len(foreign) == 1 else f"{len(foreign)} lines are"
    warnings.warn(
        f"{name}: {lines_are} not UTF-8 and read as cp1252 (Western European); "
        f"the first is {foreign[0]}",
        DataWarning,
        stacklevel=2,
    )
    return "\n".join(lines)


def _western(line: bytes, where: str) -> str:
    try:
        text = line.decode("cp1252")
        if not _STRANGE.search(text):
            return text
    except UnicodeDecodeError:
        pass
    raise UserError(
        f"{where}: neither UTF-8 nor cp1252 (Western European); save the table as UTF-8"
    )
