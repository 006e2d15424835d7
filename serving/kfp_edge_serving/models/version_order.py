"""The order of the versions of a model: which one is the latest.

- Versions of Semantic Versioning 2.0.0 are ordered as its section 11 says: `1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0 < 1.9.0`.
  There `rc2` and `rc10` are text, in the order of their characters; with a dot, the numbers compare as numbers.
- Integers, and numbers with dots such as `1.4`, are ordered by their parts, of which one that is not there is 0. So
  they compare with semantic versions too: `1 < 1.4.0 < 2`.
- Any other text, such as `2026-11-29` or `nightly-7`, comes before all of these; among its kind runs of digits compare
  as numbers.
- What is equal so far, such as `1.0` and `1.0.0` or two builds of a version, is in the order of its characters.
"""

import re

_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
#: https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_SEMANTIC = re.compile(
    r"((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})"
    rf"(?:-(?P<prerelease>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_NUMBERS = re.compile(r"(\d+(?:\.\d+)*)", re.ASCII)
_DIGITS = re.compile(r"(\d+)", re.ASCII)

#: A number or a text; numbers come first.
_Part = tuple[int, int, str]
#: Whether it begins with numbers, these, whether it is no pre-release, the other parts, and the version itself.
VersionKey = tuple[bool, tuple[int, ...], bool, tuple[_Part, ...], str]


def version_key(version: str) -> VersionKey:
    """Return the sort key of a version: the latest of several has the highest one."""
    match = _SEMANTIC.fullmatch(version) or _NUMBERS.fullmatch(version)
    if match is None:
        return False, (), False, tuple(map(_to_part, _DIGITS.split(version))), version
    prerelease = match.groupdict().get("prerelease")
    identifiers = tuple(map(_to_part, prerelease.split("."))) if prerelease else ()
    return True, _without_zeros(match[1]), not identifiers, identifiers, version


def _without_zeros(numbers: str) -> tuple[int, ...]:
    """Return the numbers, without zeros at their end."""
    parts = [int(part) for part in numbers.split(".")]
    while parts and parts[-1] == 0:
        del parts[-1]
    return tuple(parts)


def _to_part(text: str) -> _Part:
    return (0, int(text), "") if text.isascii() and text.isdigit() else (1, 0, text)
