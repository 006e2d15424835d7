"""The examples in the READMEs of components call them with inputs that they have."""

import importlib
import re
from pathlib import Path

import pytest

from support.paths import ROOT

READMES = sorted((ROOT / "components").glob("*/README.md"))
STAGES = [path.parent.name for path in READMES]
#: A call of a stage, whose arguments may be calls themselves.
_CALL = re.compile(rf"\b({'|'.join(STAGES)})\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")


def _read_examples(document: Path) -> str:
    """Return the code of a document, which is fenced or indented."""
    text = document.read_text()
    fenced = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return "\n".join([*fenced, *re.findall(r"^ {4}.*", text, re.MULTILINE)])


def _find_keywords(arguments: str) -> set[str]:
    """Return the names of the keyword arguments, without those of calls and mappings within the arguments."""
    while (outer := re.sub(r"\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]", "", arguments)) != arguments:
        arguments = outer
    return set(re.findall(r"(?:^|,)\s*(\w+)=", arguments))


@pytest.mark.parametrize("document", READMES, ids=[path.parent.name for path in READMES])
def test_an_example_names_inputs_that_the_component_has(document: Path) -> None:
    calls = _CALL.findall(_read_examples(document))
    for stage, arguments in calls:
        module = importlib.import_module(f"kfp_edge.components.{stage}.component")
        assert _find_keywords(arguments) <= set(getattr(module, stage).component_spec.inputs)


def test_most_readmes_have_an_example() -> None:
    without = [path.parent.name for path in READMES if not _CALL.search(_read_examples(path))]
    assert len(without) <= 1, without
