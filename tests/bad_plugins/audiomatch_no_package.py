"""Needs a package that nobody has."""

import package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401
