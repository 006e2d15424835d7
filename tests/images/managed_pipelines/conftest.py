"""Pipelines that go into an image."""

from collections.abc import Callable

import pytest

from kfp_edge.images.managed_pipelines import ManagedPipeline, load_pipelines
from kfp_edge.spec.backends.profiles import find_backend
from kfp_edge.spec.compiling.compiler import pipeline_names


@pytest.fixture(scope="session")
def pipelines() -> list[ManagedPipeline]:
    """Every pipeline of kfp-edge, as release 1.2.0 would have them."""
    return load_pipelines(pipeline_names(), find_backend("rhoai-3.4"), "1.2.0")


@pytest.fixture(scope="session")
def pipeline() -> Callable[..., ManagedPipeline]:
    """A pipeline of a name, of which nothing else matters."""

    def make(name: str, description: str = "It does nothing.") -> ManagedPipeline:
        return ManagedPipeline(name, description, f"name: {name}\n", ("registry.example.com/a@sha256:0",))

    return make
