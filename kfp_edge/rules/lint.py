"""Applying the rules to a file."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import PipelineError
from kfp_edge.rules import (
    address_rules,
    artifact_rules,
    container_rules,
    platform_rules,
    secret_rules,
    task_rules,
    workflow_rules,
)
from kfp_edge.rules.catalog import RULES, Rule
from kfp_edge.rules.context import LintContext, build_lint_context
from kfp_edge.rules.source_map import Position, SourceMap
from kfp_edge.rules.suppressions import Suppression, parse_suppressions
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, Backend
from kfp_edge.spec.compiled_pipeline import describe_python_file
from kfp_edge.spec.pipeline_file import PipelineFile, read_pipeline_file
from kfp_edge.spec.validation.lint_findings import Finding
from kfp_edge.spec.validation.validate import PipelineInfo, unreadable_report, validate

_CHECKS: tuple[Callable[[LintContext], Iterator[Finding]], ...] = (
    container_rules.check_images,
    container_rules.check_resources,
    container_rules.check_package_installs,
    container_rules.check_privileges,
    task_rules.check_caching,
    address_rules.check_cached_addresses,
    address_rules.check_importers,
    task_rules.check_retries,
    task_rules.check_retries_that_never_happen,
    task_rules.check_conditions,
    artifact_rules.check_optional_artifacts,
    secret_rules.check_secret_values,
    secret_rules.check_secret_names,
    platform_rules.check_settings_without_effect,
    platform_rules.check_executor_settings_without_effect,
    workflow_rules.check_workflow,
    workflow_rules.check_replaced_text,
)


@dataclass(frozen=True)
class Problem:
    """A finding with its position in the file.

    Attributes:
        finding: the rule, the path and the message.
        position: line and column; None for the whole file.
        suppression_reason: the reason in the comment that suppresses it; empty if none does.
    """

    finding: Finding
    position: Position | None = None
    suppression_reason: str = ""

    @property
    def rule(self) -> Rule:
        """The rule that the finding violates."""
        return RULES[self.finding.code]


@dataclass(frozen=True)
class LintReport:
    """The problems of one file in the order of its lines, suppressed ones included, and its pipelines."""

    problems: tuple[Problem, ...]
    pipelines: tuple[PipelineInfo, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether a backend refuses the file, so that the other rules were not applied."""
        return any(not problem.rule.can_be_ignored for problem in self.problems)

    def count(self, severity: str) -> int:
        """Return how many problems of a severity, "error" or "warning", are not suppressed."""
        return sum(problem.rule.severity == severity and not problem.suppression_reason for problem in self.problems)


def lint_file(path: Path, ignore: Collection[str] = (), backend: Backend = DEFAULT_BACKEND) -> LintReport:
    """Apply the rules to a file, except those with a code in `ignore`; a file that cannot be read is a problem, too."""
    if path.suffix.lower() == ".py":
        return _unreadable_lint_report(describe_python_file(path))
    try:
        return lint_text(path.read_bytes(), ignore, backend)
    except OSError as error:
        return _unreadable_lint_report(f"cannot read the file: {error.strerror}.")


def lint_text(text: str | bytes, ignore: Collection[str] = (), backend: Backend = DEFAULT_BACKEND) -> LintReport:
    """Apply the rules to the text of a compiled pipeline, as one backend reads it.

    What a backend refuses comes first: while there is such a finding, the other rules are not applied.
    """
    try:
        file = read_pipeline_file(text)
    except PipelineError as error:
        return _unreadable_lint_report(str(error))
    report = validate(file, backend)
    source_map = SourceMap(file)
    if report.findings:
        problems = [Problem(finding, _position(source_map, finding)) for finding in report.findings]
    else:
        problems = [problem for problem in _apply_rules(file, source_map) if problem.finding.code not in ignore]
    return LintReport(tuple(sorted(problems, key=_sort_key)), report.pipelines)


def _unreadable_lint_report(message: str) -> LintReport:
    return LintReport(tuple(Problem(finding) for finding in unreadable_report(message).findings))


def _apply_rules(file: PipelineFile, source_map: SourceMap) -> Iterator[Problem]:
    suppressions, invalid_suppressions = parse_suppressions(source_map)
    used: set[Suppression] = set()
    for pipeline in file.pipelines:
        context = build_lint_context(pipeline)
        for finding in (finding for check in _CHECKS for finding in check(context)):
            lines = {position.line for position in source_map.positions(finding.path)}
            covering = [suppression for suppression in suppressions if suppression.covers(finding.code, lines)]
            used.update(covering)
            yield Problem(finding, _position(source_map, finding), covering[0].reason if covering else "")
    for invalid in invalid_suppressions:
        yield Problem(Finding("KE099", "", invalid.message), invalid.position)
    for suppression in suppressions:
        if suppression not in used:
            message = f"nothing here violates {suppression.code}; remove the comment."
            yield Problem(Finding("KE099", "", message), suppression.position)


def _position(source_map: SourceMap, finding: Finding) -> Position | None:
    positions = source_map.positions(finding.path)
    return positions[-1] if positions else None


def _sort_key(problem: Problem) -> tuple[Position, Finding]:
    return problem.position or Position(0, 0), problem.finding
