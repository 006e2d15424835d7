"""Where the serving image is looked for."""

from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image
from kfp_edge.images.serving.model_bases import fetch_serving_image
from support.images import serving_image, tiny_base
from support.registry import RegistryServer


@pytest.fixture
def base(tmp_path: Path) -> ImageRef:
    return tiny_base(tmp_path / "base")


def test_one_in_a_layout_is_named_by_its_tag(base: ImageRef) -> None:
    assert fetch_serving_image(f"oci:{base.repository}:image").image == base


def test_one_for_several_processors_stays_an_index(tmp_path: Path) -> None:
    index = tiny_base(tmp_path / "index", "amd64", "arm64/v8")
    assert fetch_serving_image(str(index)).image == index


def test_the_variable_names_it_when_the_parameter_does_not(base: ImageRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_SERVING_IMAGE", str(base))
    assert fetch_serving_image().image == base


@pytest.mark.containers
def test_our_own_is_built_into_the_cache_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_EDGE_SERVING_IMAGE", raising=False)
    assert fetch_serving_image().image == serving_image()


def test_one_in_a_registry_is_fetched_once_by_the_digest_of_its_tag(
    base: ImageRef, registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EDGE_CACHE", str(tmp_path / "cache"))
    there = ImageRegistry.parse(registry.url).repository("serving")
    digest = copy_image(base, there, "1.0").digest
    fetched = fetch_serving_image(f"{there}:1.0")
    assert (fetched.image.transport, fetched.image.digest, fetched.name) == ("oci", digest, there.path)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "no-login.json"))
    assert fetch_serving_image(f"{there}@{digest}") == fetched


def test_one_of_the_variable_that_does_not_exist_is_an_error_that_names_the_variable(
    base: ImageRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EDGE_SERVING_IMAGE", f"oci:{base.repository}:none")
    with pytest.raises(KfpEdgeError, match="there is no serving image tagged none in .*; check KFP_EDGE_SERVING_IMAGE"):
        fetch_serving_image()


def test_one_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="there is no serving image tagged latest"):
        fetch_serving_image(f"oci:{tmp_path}")
