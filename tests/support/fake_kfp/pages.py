"""Lists of the fake backend: filtered, sorted, one page at a time."""

import json
from collections.abc import Mapping
from typing import Any

from support.fake_kfp.refusals import RefusedError

JsonObject = dict[str, Any]


def page(objects: list[JsonObject], query: Mapping[str, str]) -> tuple[list[JsonObject], str]:
    """Filter, sort and paginate a list; return one page and the token of the next."""
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    for predicate in predicates:
        _refuse_mixed_collations(predicate)
        objects = [each for each in objects if _matches(each, predicate)]
    key, _, order = query.get("sort_by", "").partition(" ")
    if key:
        objects = sorted(objects, key=lambda each: each[key])
    if order == "desc":
        objects = objects[::-1]
    size = int(query.get("page_size") or 0) or 20
    start = int(query.get("page_token") or 0)
    has_more = len(objects) > start + size
    return objects[start : start + size], str(start + size) if has_more else ""


def _matches(candidate: JsonObject, predicate: JsonObject) -> bool:
    value = candidate.get(predicate["key"])
    match predicate["operation"]:
        case 1 | "EQUALS":
            return bool(value == predicate["stringValue"])
        case 8 | "IN":
            return value in predicate["stringValues"]["values"]
        case other:
            raise RefusedError(400, f"the fake does not implement the operation {other}")


def _refuse_mixed_collations(predicate: JsonObject) -> None:
    if any(ord(character) > 0xFFFF for character in predicate.get("stringValue", "")):
        reason = (
            "Error 1267 (HY000): Illegal mix of collations (utf8mb4_general_ci,IMPLICIT) and "
            "(utf8mb3_general_ci,COERCIBLE) for operation '='"
        )
        raise RefusedError(
            500,
            "List experiments failed: List experiments failed: InternalServerError: Failed to list experiments: "
            f"{reason}: {reason}",
        )
