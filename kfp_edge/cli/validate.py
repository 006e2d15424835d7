"""`kfp-edge validate`."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kfp_edge.rules import Lint, Problem


class Format(StrEnum):
    """How findings are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Compiled pipelines (KFP v2 YAML).")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Leave a rule out; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings, too.")] = False,
    output: Annotated[
        Format, typer.Option("--format", help="github: annotations of a workflow. sarif: for code scanning.")
    ] = Format.TEXT,
    explain: Annotated[str, typer.Option(metavar="CODE", help="Say what a rule is for and how to mend it.")] = "",
) -> None:
    """Check compiled pipelines, ours or not: what a KFP 2.16 backend refuses, and rules that docs/rules.md lists."""
    from kfp_edge.rules import RULES, lint_file

    if explain:
        rule = RULES[_known(explain)]
        typer.echo(f"{rule.heading}\n\n{rule.why}\n\n{rule.mend}")
        return
    if not files:
        raise typer.BadParameter("name a FILE, or a rule with --explain.")
    ignored = {_ignorable(code) for code in ignore or []}
    lints = {path: lint_file(path, ignored) for path in files}
    if told := _told(lints, output):
        typer.echo(told)
    failing = ("error", "warning") if strict else ("error",)
    if any(lint.count(severity) for lint in lints.values() for severity in failing):
        raise typer.Exit(1)


def _known(code: str) -> str:
    from kfp_edge.rules import RULES

    if code not in RULES:
        raise typer.BadParameter(f"there is no rule {code}; the rules are: {', '.join(RULES)}.")
    return code


def _ignorable(code: str) -> str:
    from kfp_edge.rules import RULES

    if not RULES[_known(code)].can_be_ignored:
        raise typer.BadParameter(f"{code} is what a backend refuses; it cannot be ignored.")
    return code


def _told(lints: Mapping[Path, "Lint"], output: Format) -> str:
    from kfp_edge.rules.sarif import sarif

    match output:
        case Format.TEXT:
            return "\n".join(line for path, lint in lints.items() for line in _lines(path, lint))
        case Format.GITHUB:
            return "\n".join(line for path, lint in lints.items() for line in _annotations(path, lint))
        case Format.JSON:
            return json.dumps({"files": [_described(path, lint) for path, lint in lints.items()]}, indent=2)
        case Format.SARIF:
            return json.dumps(sarif(lints), indent=2)


def _lines(path: Path, lint: "Lint") -> Iterator[str]:
    yield f"{path}: {_summary(lint)}"
    for pipeline in lint.pipelines:
        yield f"  pipeline {pipeline.name or '(no name)'}, {pipeline.tasks} tasks"
        yield from (f"  image {image}" for image in pipeline.images)
    for problem in lint.problems:
        line = f"line {problem.place.line}: " if problem.place else ""
        if problem.allowed:
            yield f"  allowed: {problem.rule.code} {line}{_sentence(problem)} ({problem.allowed})"
        else:
            yield f"  {problem.rule.severity}: {problem.rule.code} {line}{_sentence(problem)}"


def _summary(lint: "Lint") -> str:
    counts = [(lint.count(severity), severity) for severity in ("error", "warning")]
    told = [f"{count} {severity}{'s' if count != 1 else ''}" for count, severity in counts if count]
    return ", ".join(told) or "OK"


def _sentence(problem: "Problem") -> str:
    finding = problem.finding
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def _annotations(path: Path, lint: "Lint") -> Iterator[str]:
    """Yield the commands by which a workflow annotates lines; `%`, line ends, `:` and `,` are escaped as it wants."""
    for problem in lint.problems:
        if problem.allowed:
            continue
        where = {"file": path.as_posix(), "title": f"{problem.rule.code} {problem.rule.title}"}
        if problem.place:
            where |= {"line": str(problem.place.line), "col": str(problem.place.column)}
        properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in where.items())
        yield f"::{problem.rule.severity} {properties}::{_escaped(_sentence(problem))}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _described(path: Path, lint: "Lint") -> dict[str, Any]:
    return {
        "file": path.as_posix(),
        "errors": lint.count("error"),
        "warnings": lint.count("warning"),
        "pipelines": [
            {"name": pipeline.name, "tasks": pipeline.tasks, "images": pipeline.images} for pipeline in lint.pipelines
        ],
        "findings": [
            {
                "code": problem.rule.code,
                "severity": problem.rule.severity,
                "line": problem.place.line if problem.place else None,
                "column": problem.place.column if problem.place else None,
                "path": problem.finding.path,
                "message": problem.finding.message,
                "allowed": problem.allowed or None,
            }
            for problem in lint.problems
        ],
    }
