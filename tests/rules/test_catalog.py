"""The catalog of rules and its documentation agree."""

import re

from kfp_edge.rules import RULES
from support.paths import ROOT


def test_the_document_lists_every_rule_with_the_text_of_explain():
    _, _, rules = (ROOT / "docs" / "rules.md").read_text().partition("## The rules\n\n")
    sections = [f"### {rule.heading}\n\n{rule.why}\n\n{rule.fix}\n" for rule in RULES.values()]
    assert rules.split() == "\n".join(sections).split()


def test_a_rule_has_a_code_and_complete_sentences():
    for code, rule in RULES.items():
        assert re.fullmatch(r"KE\d{3}", code)
        assert rule.why.endswith((".", ")"))
        assert rule.fix.endswith((".", ")."))
