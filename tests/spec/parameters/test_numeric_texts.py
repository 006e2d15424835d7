"""A text that looks like a number stays a text on its way through compiled YAML."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kfp import dsl
from ruamel.yaml import YAML

from kfp_edge.client.submission.package import make_package
from kfp_edge.spec import validate_text
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.parameters.numeric_texts import quote_numeric_texts

NUMERIC = ["1e3", "1E3", "1e-9", "1.5e3", ".5e3", "0o17", "0O17", "0X1F", "0B1", "08", "0819", "-08", "+1e3"]
#: Texts that both versions of YAML take alike, and numbers.
OTHER = [
    "no",
    "12:30",
    "2.1.0",
    "kfp-2.16.1",
    "10m",
    "32Mi",
    "1_000",
    "e3",
    "0x",
    "-",
    "+",
    ".",
    1000.0,
    1e-12,
    17,
    True,
]
VALUES = st.sampled_from([*NUMERIC, *OTHER, "a\n- 1e3\nb: 08\n", "x: 1e3"])


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def work(text: str, options: dict) -> None:
    """Do nothing."""


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "1e3", "08"]), VALUES | st.lists(VALUES, max_size=3), max_size=4))
def test_both_versions_of_yaml_read_the_same(value: dict[str, Any]) -> None:
    text = quote_numeric_texts(yaml.safe_dump({"value": value}))
    assert yaml.safe_load(text) == YAML(typ="safe", pure=True).load(text) == {"value": value}


@pytest.mark.parametrize("note", NUMERIC)
def test_a_default_text_that_looks_like_a_number_is_uploaded_as_a_text(note: str) -> None:
    @dsl.pipeline(name="notes")
    def notes(text: str = note, options: dict = {"key": note}) -> None:  # noqa: B006
        work(text=text, options=options)

    parameters = make_package(notes).pipeline.parameters
    assert parameters["text"]["defaultValue"] == note
    assert parameters["options"]["defaultValue"] == {"key": note}
    assert validate_text(compiler.compile_to_manifests(notes)).ok


def test_yaml_without_such_texts_is_left_as_it_is() -> None:
    text = yaml.safe_dump({"value": OTHER, "code": "x = [\n- 1e3\n]\n"}) + "# 1e3\n"
    assert quote_numeric_texts(text) == text
