"""A pipeline has the name that a server takes, and its versions are shortened to one."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kfp import dsl

from kfp_edge.spec import validate_text
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.pipeline_names import describe_bad_name, version_name


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def work():
    """Do nothing."""


@pytest.mark.parametrize("name", ["a", "5", "edge-mlops", "a--b", "0" * 128])
def test_a_name_that_servers_take_is_valid(name: str) -> None:
    assert describe_bad_name(name) == ""


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("T_Bad.Name", "t-bad-name"),
        ("a..b", "a-b"),
        ("a/b", "a-b"),
        ("a b", "a-b"),
        ("-a-", "a"),
        ("a-", "a"),
        ("UPPER", "upper"),
        ("über", "ber"),
        ("x" * 130, "x" * 128),
    ],
)
def test_a_name_that_servers_refuse_is_answered_with_one_that_they_take(name: str, suggestion: str) -> None:
    assert describe_bad_name(name).endswith(f"; write {suggestion}.")
    assert describe_bad_name(suggestion) == ""


@pytest.mark.parametrize("name", ["", "…", "日本"])
def test_a_name_of_which_nothing_remains_gets_no_suggestion(name: str) -> None:
    assert describe_bad_name(name).endswith(f"it is {name!r}.")


def test_validation_reports_the_name_of_a_pipeline_that_a_server_refuses() -> None:
    text = compiler.compile_to_yaml(work).replace("  name: work\n", "  name: T_Bad.Name\n", 1)
    (finding,) = validate_text(text).findings
    assert (finding.code, finding.path) == ("KE103", "pipelineInfo.name")
    assert "it is 'T_Bad.Name'; write t-bad-name." in finding.message


@given(
    pipeline=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?", fullmatch=True),
    version=st.from_regex(r"[0-9a-f]{12}(-[0-9a-f]{12})?", fullmatch=True),
)
def test_every_version_of_every_pipeline_has_a_name_that_a_server_takes(pipeline: str, version: str) -> None:
    name = version_name(pipeline, version)
    assert len(name) <= 127
    assert describe_bad_name(name) == ""
    assert name.endswith(f"-{version}")


def test_versions_of_long_pipelines_have_different_names() -> None:
    names = {version_name(f"{'x' * 120}-{number}", "1" * 12) for number in range(3)}
    assert len(names) == 3


def test_manifests_of_a_pipeline_with_a_long_name_have_a_version_that_a_server_takes() -> None:
    @dsl.pipeline(name="x" * 128)
    def long_name() -> None:
        work()

    _, version = yaml.safe_load_all(compiler.compile_to_manifests(long_name))
    assert len(version["metadata"]["name"]) <= 127
