"""`kfp-edge validate`."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfp_edge.cli.backend_option import BackendOption
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, find_backend
from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.rules import LintReport, Problem


class OutputFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Compiled pipelines (KFP v2 YAML).")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Skip a rule; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings, too.")] = False,
    output: Annotated[
        OutputFormat, typer.Option("--format", help="github: annotations of a workflow. sarif: for code scanning.")
    ] = OutputFormat.TEXT,
    backend: BackendOption = DEFAULT_BACKEND.name,
    explain: Annotated[str, typer.Option(metavar="CODE", help="Explain a rule and how to fix what violates it.")] = "",
) -> None:
    """Check compiled pipelines (any KFP v2 YAML): what a backend refuses, and the rules in docs/rules.md."""
    from kfp_edge.rules import RULES, lint_file

    if explain:
        rule = RULES[_check_known(explain)]
        typer.echo(f"{rule.heading}\n\n{rule.why}\n\n{rule.fix}")
        return
    if not files:
        raise typer.BadParameter("name a FILE, or a rule with --explain.")
    ignored = {_check_ignorable(code) for code in ignore or []}
    checked_for = find_backend(backend)
    reports = {path: lint_file(path, ignored, checked_for) for path in files}
    if text := _format_reports(reports, output):
        typer.echo(text)
    failing = ("error", "warning") if strict else ("error",)
    if any(report.count(severity) for report in reports.values() for severity in failing):
        raise typer.Exit(1)


def _check_known(code: str) -> str:
    from kfp_edge.rules import RULES

    if code not in RULES:
        raise typer.BadParameter(f"there is no rule {code}; the rules are: {', '.join(RULES)}.")
    return code


def _check_ignorable(code: str) -> str:
    from kfp_edge.rules import RULES

    if not RULES[_check_known(code)].can_be_ignored:
        raise typer.BadParameter(f"{code} is what a backend refuses; it cannot be ignored.")
    return code


def _format_reports(reports: Mapping[Path, "LintReport"], output: OutputFormat) -> str:
    from kfp_edge.rules import to_sarif

    match output:
        case OutputFormat.TEXT:
            return "\n".join(line for path, report in reports.items() for line in _text_lines(path, report))
        case OutputFormat.GITHUB:
            return "\n".join(line for path, report in reports.items() for line in _github_commands(path, report))
        case OutputFormat.JSON:
            return json.dumps({"files": [_json_report(path, report) for path, report in reports.items()]}, indent=2)
        case OutputFormat.SARIF:
            return json.dumps(to_sarif(reports), indent=2)


def _text_lines(path: Path, report: "LintReport") -> Iterator[str]:
    yield f"{path}: {_summary(report)}"
    for pipeline in report.pipelines:
        yield f"  pipeline {pipeline.name or '(no name)'}, {count_of(pipeline.tasks, 'task')}"
        yield from (f"  image {image}" for image in pipeline.images)
    for problem in report.problems:
        line = f"line {problem.position.line}: " if problem.position else ""
        if problem.suppression_reason:
            yield f"  allowed: {problem.rule.code} {line}{_message(problem)} ({problem.suppression_reason})"
        else:
            yield f"  {problem.rule.severity}: {problem.rule.code} {line}{_message(problem)}"
    if report.is_refused and report.pipelines:
        yield "  note: the other rules are applied once a backend would accept the file"


def _summary(report: "LintReport") -> str:
    counts = [(report.count(severity), severity) for severity in ("error", "warning")]
    return ", ".join(count_of(count, severity) for count, severity in counts if count) or "OK"


def _message(problem: "Problem") -> str:
    finding = problem.finding
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def _github_commands(path: Path, report: "LintReport") -> Iterator[str]:
    """Yield the workflow commands that annotate lines; `%`, line ends, `:` and `,` are escaped as GitHub requires."""
    for problem in report.problems:
        if problem.suppression_reason:
            continue
        properties = {"file": path.as_posix(), "title": f"{problem.rule.code} {problem.rule.title}"}
        if problem.position:
            properties |= {"line": str(problem.position.line), "col": str(problem.position.column)}
        text = ",".join(f"{name}={_escape(value, ':,')}" for name, value in properties.items())
        yield f"::{problem.rule.severity} {text}::{_escape(_message(problem))}"


def _escape(text: str, additional: str = "") -> str:
    for character in f"%\r\n{additional}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _json_report(path: Path, report: "LintReport") -> dict[str, Any]:
    return {
        "file": path.as_posix(),
        "errors": report.count("error"),
        "warnings": report.count("warning"),
        "pipelines": [
            {"name": pipeline.name, "tasks": pipeline.tasks, "images": pipeline.images} for pipeline in report.pipelines
        ],
        "findings": [
            {
                "code": problem.rule.code,
                "severity": problem.rule.severity,
                "line": problem.position.line if problem.position else None,
                "column": problem.position.column if problem.position else None,
                "path": problem.finding.path,
                "message": problem.finding.message,
                "allowed": problem.suppression_reason or None,
            }
            for problem in report.problems
        ],
    }
