"""What is uploaded is read alike by YAML 1.1, YAML 1.2 and JSON."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kfp_edge.errors import PipelineError
from kfp_edge.spec.compiling.canonical_yaml import canonical_text
from kfp_edge.spec.pipeline_file import PipelineDocument

#: Texts that one of the two versions of YAML reads as something else.
AMBIGUOUS = [
    "no",
    "on",
    "1e3",
    "1E-9",
    "0o17",
    "0X1F",
    "017",
    "12:30",
    "1_000",
    "2024-01-01",
    "~",
    "=",
    "<<",
    ".5",
    "+.inf",
]
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=20) | st.sampled_from([*AMBIGUOUS, "a\tb\n c", "\x85\u2028\u2029\ufeff\x7f", "🚀"])
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(spec=st.dictionaries(TEXTS, VALUES, max_size=4), platform=st.none() | st.dictionaries(TEXTS, VALUES, max_size=2))
def test_every_reader_gets_the_same_pipeline(spec: dict[str, Any], platform: dict[str, Any] | None) -> None:
    text = canonical_text(PipelineDocument(spec, "", platform))
    expected = [spec] if platform is None else [spec, platform]
    assert list(yaml.safe_load_all(text)) == expected
    assert list(YAML(typ="safe", pure=True).load_all(text)) == expected
    assert [json.loads(part) for part in text.split("\n---\n")] == expected


def test_equal_pipelines_have_equal_texts() -> None:
    assert canonical_text(PipelineDocument({"a": 1, "b": 2}, "")) == canonical_text(
        PipelineDocument({"b": 2, "a": 1}, "")
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes"])
def test_a_value_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(PipelineError, match="has a value that no backend takes"):
        canonical_text(PipelineDocument({"a": value}, ""))
