"""Types of parsed JSON."""

from typing import Any

#: An object as orjson parses or writes it.
JsonObject = dict[str, Any]
