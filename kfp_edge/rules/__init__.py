"""Lint rules for compiled pipelines, ours or not: what a backend refuses, and what it accepts and is still unwise.

`docs/rules.md` lists them. What the YAML does not tell has no rule: whether a task needs a retry, for example.
"""

from kfp_edge.rules.catalog import RULES, Rule
from kfp_edge.rules.lint import LintReport, Problem, lint_file, lint_text
from kfp_edge.rules.sarif import to_sarif

__all__ = ["RULES", "LintReport", "Problem", "Rule", "lint_file", "lint_text", "to_sarif"]
