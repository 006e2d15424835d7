"""How two versions compare, by Semantic Versioning 2.0.0, section 11.

It only says whether a version looks newer. Which one a ring ran before is never a question of its name: by Semantic
Versioning a hotfix `1.4.0-1` is a pre-release, and comes before `1.4.0`.
"""

import re

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def compare_versions(one: str, other: str) -> int | None:
    """Return whether `one` is lower (-1) or higher (1) than `other`, or as high (0); None if one is no such version."""
    keys = [_key(text) for text in (one, other)]
    if keys[0] is None or keys[1] is None:
        return None
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


def describe_order(new: str, old: str) -> str:
    """Return a sentence for a version that is not higher than the one that it replaces; empty for any other."""
    order = compare_versions(new, old)
    if order is None or order > 0:
        return ""
    if order == 0:
        return f"{new} and {old} are the same version by Semantic Versioning, and other images."
    core = new.partition("-")[0]
    if "-" in new and compare_versions(core, old) in (0, 1):
        return (
            f"By Semantic Versioning, {new} is a pre-release and lower than {old}, because of the - in it. If it is a "
            "hotfix, the next patch version would say so; the order of releases here is that of the commits."
        )
    return f"{new} is lower than {old} by Semantic Versioning: this takes the ring back to an older version."


def _key(text: str) -> tuple[tuple[int, ...], int, list[tuple[int, int, str]]] | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    parts = [part for part in (match[4] or "").split(".") if part]
    # numbers by their value, and before any text
    identifiers = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return tuple(int(match[number]) for number in (1, 2, 3)), 0 if identifiers else 1, identifiers
