"""Units in the names of columns."""

import re

#: Units in brackets at the end of a column's name: "pressure [bar]".
_UNITS = re.compile(r"\[([^\]]+)\]\s*$")


def parse_units(name: str) -> str | None:
    """Return the units in brackets at the end of a column's name, such as `bar` of `pressure [bar]`."""
    match = _UNITS.search(name)
    return match[1] if match else None
