"""Reads the tables of a configuration file: each key once, by its type, and every error is one sentence."""

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
#: A millisecond and a hundred years, in seconds.
_SHORTEST, _LONGEST = 0.001, 36_500 * 86_400.0
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is one sentence that names the key and what is wrong with it."""


class Table:
    """One table of the file. Keys that nothing has read are errors once the table is closed."""

    def __init__(self, content: Mapping[str, object], name: str) -> None:
        self._content = content
        self._name = name
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether the table has a key."""
        return key in self._content

    def is_table(self, key: str) -> bool:
        """Return whether the value of a key is a table."""
        return isinstance(self._content.get(key), dict)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; without a default it is required."""
        value = self._get(key, str, "a text", default)
        if not value and value is not default:
            raise self.error(key, "is empty")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a text, None if the key is not there."""
        return self.text(key) if key in self._content else None

    def path(self, key: str) -> Path | None:
        """Return the path of a file that can be read, None if the key is not there."""
        text = self.optional_text(key)
        if text is not None and not Path(text).is_file():
            raise self.error(key, f"is '{text}', where there is no file")
        return None if text is None else Path(text)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        return self._get(key, bool, "true or false", default)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return an integer in a range."""
        value = self._get(key, int, "an integer", default)
        if isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"is {value}; it must be an integer from {low} to {high}")
        return value

    def number(self, key: str) -> float:
        """Return a number."""
        value = self._content.get(key)
        self._read.add(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(key, f"is {value!r}; it must be a number")
        return float(value)

    def scalar(self, key: str) -> str | int | float | bool:
        """Return a text, a number or a flag."""
        value = self._content.get(key)
        self._read.add(key)
        if not isinstance(value, str | int | float):
            raise self.error(key, f"is {value!r}; it must be a text, a number or true or false")
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of several texts."""
        value = self.text(key, default)
        if value not in choices:
            raise self.error(key, f"is '{value}'; it must be one of {', '.join(choices)}")
        return value

    def host(self, key: str, default: str | None = None) -> str:
        """Return the name or the address of a host; without a default it is required."""
        host = self.text(key, default)
        if not is_host(host):
            raise self.error(key, f"is '{host}', which is no name of a host")
        return host

    def duration(
        self, key: str, default: float | None = None, *, low: float = _SHORTEST, high: float = _LONGEST
    ) -> float:
        """Return seconds from a text such as `500ms`, `10s`, `5m`, `12h` or `7d`; without a default it is required."""
        if default is not None and key not in self._content:
            return default
        text = self.text(key)
        match = _DURATION.fullmatch(text)
        if match is None or float(match[1]) == 0:
            raise self.error(key, f"is '{text}'; it must be a time above 0 such as '500ms', '10s', '5m', '12h' or '7d'")
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not low <= seconds <= high:
            raise self.error(key, f"is '{text}'; it must be from {low:g} to {high:g} seconds")
        return seconds

    def size(self, key: str, default: int, low: int) -> int:
        """Return bytes from a text such as `64KiB`, `256MiB` or `1GiB`, at least `low`."""
        if key not in self._content:
            return default
        text = self.text(key)
        match = _SIZE.fullmatch(text)
        if match is None:
            raise self.error(key, f"is '{text}'; it must be a size such as '512KiB', '256MiB' or '1GiB'")
        size = int(match[1]) * _BYTES[match[2]]
        if size < low:
            raise self.error(key, f"is '{text}'; it must be at least {low >> 10}KiB")
        return size

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; an empty one if the key is not there."""
        values = self._get(key, list, "a list of texts", [])
        if not all(isinstance(value, str) and value for value in values):
            raise self.error(key, "must be a list of texts")
        return values

    def table(self, key: str, *, is_required: bool = False) -> "Table":
        """Return a table below this one; an empty one if the key is not there."""
        if is_required and key not in self._content:
            raise ConfigurationError(f"the table [{self._qualify(key)}] is missing.")
        return Table(self._get(key, dict, "a table", {}), self._qualify(key))

    def tables(self, key: str) -> list["Table"]:
        """Return a list of tables, at least one."""
        values = self._get(key, list, "a list of tables", [])
        if not values or not all(isinstance(value, dict) for value in values):
            raise ConfigurationError(f"the configuration has no [[{key}]], of which it needs at least one.")
        return [Table(value, f"{key} {number}") for number, value in enumerate(values, 1)]

    def items(self) -> dict[str, str]:
        """Return a table of texts as a dictionary."""
        self._read.update(self._content)
        for key, value in self._content.items():
            if not isinstance(value, str) or not value:
                raise self.error(key, "must be a text")
        return {key: str(value) for key, value in self._content.items()}

    def close(self) -> None:
        """Refuse keys that nothing has read.

        Raises:
            ConfigurationError: there is one.
        """
        for key in self._content:
            if key not in self._read:
                similar = difflib.get_close_matches(key, self._read, 1)
                hint = f"did you mean '{similar[0]}'?" if similar else f"it has {', '.join(sorted(self._read))}."
                raise ConfigurationError(f"{self.describe()} has an unknown key '{key}'; {hint}")

    def error(self, key: str, problem: str) -> ConfigurationError:
        """Return the error for one key."""
        return ConfigurationError(f"'{key}' of {self.describe()} {problem}.")

    def _get(self, key: str, kind: type[Value], kind_name: str, default: Value | None) -> Value:
        self._read.add(key)
        if key not in self._content:
            if default is None:
                raise ConfigurationError(f"{self.describe()} needs '{key}', {kind_name}.")
            return default
        value = self._content[key]
        if not isinstance(value, kind):
            raise self.error(key, f"must be {kind_name}")
        return value

    def describe(self) -> str:
        """Return what errors call this table."""
        return f"[{self._name}]" if self._name else "the configuration"

    def _qualify(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def is_host(text: str) -> bool:
    """Return whether a text may be the name or the address of a host: what cannot be encoded is never looked up."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return not re.search(r"[\s/@\0-\x1f]", text)
