"""How the cells of a table are written: what a user states about it, and what is sniffed where nothing is stated."""

import codecs
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Names for characters that a command line or YAML loses.
_CHARACTER_NAMES = {"tab": "\t", "\\t": "\t", "space": " "}
_DECIMALS = (".", ",")
_THOUSANDS = (",", ".", "'", " ")


@dataclass(frozen=True)
class TableFormat:
    """The parameters of `ingest` about the form of a table; an empty one is sniffed. The component describes each."""

    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    encoding: str = ""
    missing_values: tuple[str, ...] = ()
    time_format: str = ""
    time_zone: str = ""
    column_names: tuple[str, ...] = ()

    @property
    def separator_character(self) -> str:
        """The separator itself where its name was given, such as `tab`."""
        return _CHARACTER_NAMES.get(self.separator, self.separator)

    @property
    def thousands_character(self) -> str:
        """The thousands separator itself where its name was given: `space`."""
        return _CHARACTER_NAMES.get(self.thousands, self.thousands)

    @property
    def stated(self) -> list[str]:
        """The parameters that are set with their values, such as `encoding=cp1252`."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return [
            f"{name}={list(value) if isinstance(value, tuple) else value}" for name, value in values.items() if value
        ]

    @property
    def csv_parameters(self) -> list[str]:
        """Names of the parameters that are set and that only CSV files have a use for."""
        return [name for name in ("separator", "encoding", "column_names") if getattr(self, name)]

    def find_problems(self) -> Iterator[str]:
        """Yield what no table has, each in one sentence."""
        problems = {
            f"separator is {self.separator!r}; give one character, tab or space.": len(self.separator_character) > 1,
            f"decimal is {self.decimal!r}; give . or a comma.": self.decimal not in ("", *_DECIMALS),
            f"thousands is {self.thousands!r}; give a comma, a point, an apostrophe or space.": (
                self.thousands_character not in ("", *_THOUSANDS)
            ),
            f"decimal and thousands are both {self.decimal!r}; they must differ.": (
                bool(self.decimal) and self.decimal == self.thousands
            ),
            f"encoding {self.encoding!r} is unknown; give one such as utf-8, cp1252 or utf-16.": (
                not _is_encoding(self.encoding)
            ),
            f"time_zone {self.time_zone!r} is unknown here; give an IANA name such as Europe/Berlin.": (
                not _is_time_zone(self.time_zone)
            ),
            f"time_format {self.time_format!r} has no directive; give one such as %d.%m.%Y %H:%M.": (
                bool(self.time_format) and "%" not in self.time_format
            ),
            "column_names has a name twice; each column needs a name of its own.": (
                len(set(self.column_names)) < len(self.column_names)
            ),
        }
        yield from (message for message, is_violated in problems.items() if is_violated)


def _is_encoding(name: str) -> bool:
    try:
        # a codec that is no text encoding, such as base64, cannot decode bytes to text
        return not name or isinstance(codecs.decode(b"", name), str)
    except (LookupError, ValueError):
        return False


def _is_time_zone(name: str) -> bool:
    try:
        return not name or bool(ZoneInfo(name).key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
