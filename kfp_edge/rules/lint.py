"""Applying the rules to a file."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import KfpEdgeError
from kfp_edge.rules import containers, secrets, tasks
from kfp_edge.rules.catalog import RULES, Rule
from kfp_edge.rules.context import LintContext, lint_context
from kfp_edge.rules.source_map import Position, SourceMap
from kfp_edge.rules.suppressions import Suppression, suppressions
from kfp_edge.spec.documents import PipelineFile, read
from kfp_edge.spec.fields import Finding
from kfp_edge.spec.validation import PipelineInfo, refused, validate

_CHECKS: tuple[Callable[[LintContext], Iterator[Finding]], ...] = (
    containers.images,
    containers.resources,
    containers.installs,
    containers.rights,
    tasks.caching,
    tasks.retries,
    tasks.conditions,
    secrets.values,
    secrets.mounts,
)


@dataclass(frozen=True)
class Problem:
    """A finding in its file: `place` is None when it has no line; `allowed` is the reason if a comment allows it."""

    finding: Finding
    place: Position | None = None
    allowed: str = ""

    @property
    def rule(self) -> Rule:
        """The rule that it is against."""
        return RULES[self.finding.code]


@dataclass(frozen=True)
class Lint:
    """What the rules say of one file, in the order of its lines; what a comment allows is in it too."""

    problems: tuple[Problem, ...]
    pipelines: tuple[PipelineInfo, ...] = ()

    def count(self, severity: str) -> int:
        """Return how many problems of a severity, "error" or "warning", no comment allows."""
        return sum(problem.rule.severity == severity and not problem.allowed for problem in self.problems)


def lint_file(path: Path, ignore: Collection[str] = ()) -> Lint:
    """Apply the rules to a file, but those with a code in `ignore`; one that cannot be read is a problem, too."""
    try:
        return lint_text(path.read_bytes(), ignore)
    except OSError as error:
        return _unread(f"cannot read the file: {error.strerror}.")


def lint_text(text: str | bytes, ignore: Collection[str] = ()) -> Lint:
    """Apply the rules to the text of a compiled pipeline.

    What a backend refuses comes first: while there is such a finding, the other rules are not applied.
    """
    try:
        file = read(text)
    except KfpEdgeError as error:
        return _unread(str(error))
    report = validate(file)
    places = SourceMap(file)
    if report.findings:
        problems = [Problem(finding, _place(places, finding)) for finding in report.findings]
    else:
        problems = [problem for problem in _judged(file, places) if problem.finding.code not in ignore]
    return Lint(tuple(sorted(problems, key=_order)), report.pipelines)


def _unread(sentence: str) -> Lint:
    return Lint(tuple(Problem(finding) for finding in refused(sentence).findings))


def _judged(file: PipelineFile, places: SourceMap) -> Iterator[Problem]:
    allowed, misused = suppressions(places)
    used: set[Suppression] = set()
    for source in file.sources:
        pipeline = lint_context(source)
        for finding in (finding for check in _CHECKS for finding in check(pipeline)):
            lines = {place.line for place in places.around(finding.path)}
            covering = [each for each in allowed if each.covers(finding.code, lines)]
            used.update(covering)
            yield Problem(finding, _place(places, finding), covering[0].reason if covering else "")
    for misuse in misused:
        yield Problem(Finding("KE099", "", misuse.message), misuse.place)
    for each in allowed:
        if each not in used:
            message = f"nothing here is against {each.code}; remove the comment."
            yield Problem(Finding("KE099", "", message), each.place)


def _place(places: SourceMap, finding: Finding) -> Position | None:
    around = places.around(finding.path)
    return around[-1] if around else None


def _order(problem: Problem) -> tuple[Position, Finding]:
    return problem.place or Position(0, 0), problem.finding
