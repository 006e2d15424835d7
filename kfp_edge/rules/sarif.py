"""SARIF 2.1.0, the format in which code scanning takes findings (OASIS, errata 01)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kfp_edge import __version__
from kfp_edge.rules import RULES, Lint, Problem, Rule

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_INDEX = {code: index for index, code in enumerate(RULES)}


def sarif(lints: Mapping[Path, Lint]) -> dict[str, Any]:
    """Return a SARIF log with one run: every rule, and every problem of the files.

    Files inside the current folder are named relative to it, as code scanning wants them. What a comment allows is in
    the log as suppressed, with its reason.
    """
    driver = {"name": "kfp-edge", "version": __version__, "rules": [_rule(rule) for rule in RULES.values()]}
    results = [_result(_uri(path), problem) for path, lint in lints.items() for problem in lint.problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why}\n\n{rule.mend}", "markdown": f"{rule.why}\n\n{rule.mend}"},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(uri: str, problem: Problem) -> dict[str, Any]:
    finding = problem.finding
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if problem.place is not None:
        place["region"] = {"startLine": problem.place.line, "startColumn": problem.place.column}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
    result = {
        "ruleId": finding.code,
        "ruleIndex": _INDEX[finding.code],
        "level": problem.rule.severity,
        "message": {"text": finding.message},
        "locations": [location],
    }
    if problem.allowed:
        result["suppressions"] = [{"kind": "inSource", "justification": problem.allowed}]
    return result


def _uri(path: Path) -> str:
    absolute, here = path.absolute(), Path.cwd()
    return quote(absolute.relative_to(here).as_posix()) if absolute.is_relative_to(here) else absolute.as_uri()
