"""A stage gets its artifacts without a type, as from the driver of a backend, so that what fails there fails here."""

from typing import Optional

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Output

from kfp_edge import local


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def write(report: Output[Markdown]):
    from pathlib import Path

    Path(report.path).write_text("# Report")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(path: str, report: Input[Markdown] = None, other: Input[Artifact] = None):
    from pathlib import Path

    Path(path).write_text(f"{type(report).__name__} {other}")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read_optional(report: Optional[Input[Markdown]] = None):  # noqa: UP045
    print(report)


@dsl.pipeline(name="reading")
def reading(path: str):
    read(path=path, report=write().outputs["report"])


@dsl.pipeline(name="reading-optional")
def reading_optional():
    read_optional(report=write().outputs["report"])


def test_an_artifact_has_the_class_of_its_annotation_and_one_that_is_not_passed_is_unset(tmp_path) -> None:
    local.run(reading, {"path": str(tmp_path / "seen")}, out=str(tmp_path / "run"))
    assert (tmp_path / "seen").read_text() == "Markdown None"


def test_an_artifact_that_is_annotated_as_optional_fails_as_in_a_pod(tmp_path) -> None:
    with pytest.raises(local.RunFailedError, match="read-optional: it failed unexpectedly"):
        local.run(reading_optional, {}, out=str(tmp_path / "run"))
    assert "Cannot instantiate typing.Union" in (tmp_path / "run/logs/run.log").read_text()
