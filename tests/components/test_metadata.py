"""The `metadata.yaml` of every component, as the repository kubeflow/pipelines-components expects it."""

import importlib
import re
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kfp_edge import __version__
from support.paths import ROOT

STAGES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
#: What a Kubeflow Pipelines backend has to be at least, which is what `pyproject.toml` pins.
BACKEND = ">=2.16.0"


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Dependency(Model):
    name: str
    version: Annotated[str, Field(pattern=r"^(==|>=|<=|~=)?(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}$")]


class Dependencies(Model):
    kubeflow: Annotated[list[Dependency], Field(min_length=1)]
    external_services: list[Dependency] = []


class Metadata(Model):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    stability: Literal["alpha", "beta", "stable"]
    dependencies: Dependencies
    tags: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]], Field(min_length=1)]
    lastVerified: AwareDatetime


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metadata(stage: str) -> Metadata:
    return Metadata.model_validate(yaml.safe_load((ROOT / "components" / stage / "metadata.yaml").read_text()))


def test_the_name_is_the_component_s(stage: str, metadata: Metadata) -> None:
    assert metadata.name == stage


def test_the_description_is_the_first_line_of_the_component_s_docstring(stage: str, metadata: Metadata) -> None:
    component = getattr(importlib.import_module(f"kfp_edge.components.{stage}.component"), stage)
    assert metadata.description == component.description.splitlines()[0]


def test_the_backend_is_the_one_that_the_pipelines_are_compiled_for(metadata: Metadata) -> None:
    versions = {dependency.name: dependency.version for dependency in metadata.dependencies.kubeflow}
    assert versions == {"Pipelines": BACKEND}
    assert re.search(r'"kfp>=2\.16\.1,<2\.18"', (ROOT / "pyproject.toml").read_text())


def test_a_component_is_stable_with_version_1_at_the_earliest(metadata: Metadata) -> None:
    assert metadata.stability == "alpha" or not __version__.startswith("0.")
