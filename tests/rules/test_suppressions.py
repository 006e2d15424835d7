"""Comments suppress findings, and a comment that suppresses nothing is reported."""

import pytest

from kfp_edge.rules import lint_text
from support.pipelines import (
    TEXT,
    WITH_TAG,
    codes,
    problem_lines,
)


def test_a_comment_at_the_end_of_a_line_suppresses_findings_on_it():
    report = lint_text(WITH_TAG.replace("work:1\n", "work:1  # kfp-edge: ignore KE001 because it is a test\n"))
    assert problem_lines(report) == []
    assert [problem.suppression_reason for problem in report.problems] == ["it is a test"]


def test_a_comment_at_the_end_of_a_line_suppresses_findings_nested_under_it():
    comment = "exec-work: # kfp-edge: ignore KE002, KE001 because it is a test\n"
    report = lint_text(WITH_TAG.replace("exec-work:\n", comment, 1))
    assert problem_lines(report) == ["KE099 : nothing here violates KE002; remove the comment."]


def test_a_comment_on_another_line_suppresses_nothing_here():
    comment = "exec-work-2: # kfp-edge: ignore KE001 because it is a test\n"
    assert codes(lint_text(WITH_TAG.replace("exec-work-2:\n", comment, 1))) == ["KE001", "KE099"]


def test_a_comment_on_its_own_line_applies_to_the_file():
    assert problem_lines(lint_text(f"# kfp-edge: ignore KE001 because it is a test\n{WITH_TAG}")) == []
    assert problem_lines(lint_text(f"{WITH_TAG}\n  # kfp-edge: ignore KE001 because it is a test\n")) == []


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("ignore KE001", "cannot be parsed; write"),
        ("ignore KE001 because", "cannot be parsed; write"),
        ("ignore all because I say so", "cannot be parsed; write"),
        ("ignore KE042 because it is a test", "there is no rule KE042."),
        ("ignore KE101 because it is a test", "KE101 cannot be ignored"),
        ("ignore KE014 because it is a test", "nothing here violates KE014"),
    ],
)
def test_a_comment_that_suppresses_nothing_is_reported_with_its_line(comment, message):
    report = lint_text(f"{TEXT}# kfp-edge: {comment}\n")
    (problem,) = report.problems
    assert problem.finding.code == "KE099"
    assert message in problem.finding.message
    assert problem.position.line == TEXT.count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        '"one # kfp-edge: ignore KE001 because"',
        "'one\n\n        # kfp-edge: ignore KE001 because\n\n        two'",
        "|\n          # kfp-edge: ignore KE001 because\n",
    ],
)
def test_what_looks_like_a_comment_inside_a_text_is_ignored(text):
    report = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert problem_lines(report) == []


def test_a_comment_after_a_block_scalar_indicator_applies():
    text = "| # kfp-edge: ignore KE006 because it is a test\n          " + "glpat-" + "a1B2" * 5
    report = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert [(problem.finding.code, problem.suppression_reason) for problem in report.problems] == [
        ("KE006", "it is a test")
    ]
