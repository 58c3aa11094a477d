"""The script that draws charts of Vega-Lite: embedded, so that a page asks nothing of others."""

from __future__ import annotations

import functools
from contextlib import suppress
from importlib.metadata import version

from audiomatch.files import atomic_file
from audiomatch.machine import default_cache

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@functools.cache
def vega_script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script.

    vl-convert-python takes seconds to put it together, so it is kept beside what else is kept
    between runs.
    """
    file = default_cache() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")
    import vl_convert

    script = vl_convert.javascript_bundle(_SNIPPET)
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("the script of Vega cannot stand in a page")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as temporary:
            temporary.write_text(script, encoding="utf-8")
    return str(script)
