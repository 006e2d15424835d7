"""SARIF 2.1.0 (OASIS, errata 01), the format that code scanning reads."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from kfp_edge import __version__
from kfp_edge.rules.catalog import RULES, Rule
from kfp_edge.rules.lint import LintReport, Problem
from kfp_edge.storage.files import JsonObject

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULE_INDEX = {code: index for index, code in enumerate(RULES)}


def to_sarif(reports: Mapping[Path, LintReport]) -> JsonObject:
    """Return a SARIF log with one run: every rule, and every problem of the files.

    Files inside the current folder are named relative to it, as code scanning expects. What a comment suppresses is in
    the log as suppressed, with its reason.
    """
    driver = {"name": "kfp-edge", "version": __version__, "rules": [_rule(rule) for rule in RULES.values()]}
    results = [_result(_uri(path), problem) for path, report in reports.items() for problem in report.problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> JsonObject:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why}\n\n{rule.fix}", "markdown": f"{rule.why}\n\n{rule.fix}"},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(uri: str, problem: Problem) -> JsonObject:
    finding = problem.finding
    physical_location: JsonObject = {"artifactLocation": {"uri": uri}}
    if problem.position is not None:
        physical_location["region"] = {"startLine": problem.position.line, "startColumn": problem.position.column}
    location: JsonObject = {"physicalLocation": physical_location}
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
    result: JsonObject = {
        "ruleId": finding.code,
        "ruleIndex": _RULE_INDEX[finding.code],
        "level": problem.rule.severity,
        "message": {"text": finding.message},
        "locations": [location],
    }
    if problem.suppression_reason:
        result["suppressions"] = [{"kind": "inSource", "justification": problem.suppression_reason}]
    return result


def _uri(path: Path) -> str:
    absolute, current = path.absolute(), Path.cwd()
    return quote(absolute.relative_to(current).as_posix()) if absolute.is_relative_to(current) else absolute.as_uri()
