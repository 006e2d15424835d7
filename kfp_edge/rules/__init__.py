"""Rules over compiled pipelines, ours or not: what a backend refuses, and what it takes and is still unwise.

`docs/rules.md` lists them. What the YAML cannot tell is no rule: whether a task needs another try, for one.
"""

from kfp_edge.rules.catalog import RULES, Rule
from kfp_edge.rules.lint import Lint, Problem, lint_file, lint_text

__all__ = ["RULES", "Lint", "Problem", "Rule", "lint_file", "lint_text"]
