"""What Ray sends to a worker by value: a function that imports nothing until the path is safe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def task(folder: str, *call: Any) -> Iterator[bytes]:
    """Run `audiomatch_ray.worker.serve`.

    Ray puts the driver's working folder before all else on the path of its workers. A `random.py`
    there, beside the user's data, is not to be imported.
    """
    import sys

    while sys.path[:1] == [folder]:
        del sys.path[0]
    from audiomatch_ray.worker import serve

    yield from serve(*call)
