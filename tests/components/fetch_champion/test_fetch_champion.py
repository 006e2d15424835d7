"""The bundle of the model in use comes from the image that the ring runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp.dsl import Artifact

from kfp_edge.components.containerize.append import build_by_appending
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.fetch_champion.component import fetch_champion
from kfp_edge.components.fetch_champion.fetch_champion import Place, increase
from kfp_edge.components.fetch_champion.fetch_champion import fetch_champion as fetch
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.fleet_history import FleetClone, create_fleet
from support.fleets import site_with
from support.git_repositories import isolate
from support.images import tiny_base


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def release(tmp_path: Path) -> Callable[[ModelFormat], tuple[FleetClone, Bundle, ImageRef]]:
    """Release a bundle as an image in a folder, and give it to the ring canary."""

    def make(model_format: ModelFormat) -> tuple[FleetClone, Bundle, ImageRef]:
        bundle = tiny_bundle(tmp_path / "bundle", "pump", "1.1.0")
        spec = ImageSpec.for_bundle(bundle, None, "", model_format)
        image = build_by_appending(spec, ImageRepository.parse(f"oci:{tmp_path}/registry/pump"))
        fleet = create_fleet(tmp_path / "fleet", [site_with("first")])
        fleet.release("canary", image.digest, 10, image_name="localhost/pump")
        return fleet, bundle, image

    return make


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("model_format", list(ModelFormat))
def test_it_has_every_byte_of_the_bundle_that_was_released(
    release: Callable[[ModelFormat], tuple[FleetClone, Bundle, ImageRef]], model_format: ModelFormat, tmp_path: Path
) -> None:
    fleet, bundle, image = release(model_format)
    champion = Artifact(uri=str(tmp_path / "champion"))
    outputs = fetch_champion.python_func("pump", str(fleet.repository), champion, registry=f"oci:{tmp_path}/registry")
    assert outputs == ("1.1.0", image.digest, "1.1.1")
    assert files_of(tmp_path / "champion" / "bundle") == files_of(bundle.folder)
    assert json.loads((tmp_path / "champion" / "champion.json").read_text()) == {
        "model": "pump",
        "version": "1.1.0",
        "where": "the ring canary",
        "image": f"localhost/pump@{image.digest}",
    }


@pytest.mark.parametrize("reason", ["no such model", "no commit"])
def test_a_model_that_no_ring_has_yet_is_no_error(reason: str, tmp_path: Path) -> None:
    fleet = create_fleet(tmp_path / "fleet", [site_with("first")])
    branch = "main" if reason == "no such model" else "empty"
    result = fetch("valve", Place(str(fleet.repository), branch, "", {}), "", "0.1.0", tmp_path / "champion")
    assert (result.version, result.digest, result.next_version) == ("", "", "0.1.0")
    assert result.warnings == ["valve is not in use yet, so there is no model to compare the new one with"]
    assert files_of(tmp_path / "champion") == {"champion.json": b'{\n "model": "valve",\n "version": ""\n}\n'}


def test_an_image_that_others_built_is_named(tmp_path: Path) -> None:
    from kfp_edge.images.registry import copy_image

    image = copy_image(tiny_base(tmp_path / "foreign"), ImageRepository.parse(f"oci:{tmp_path}/registry/pump"), "1.1.0")
    fleet = create_fleet(tmp_path / "fleet", [site_with("first")])
    fleet.release("canary", image.digest, 10, image_name="localhost/pump")
    place = Place(str(fleet.repository), "main", "", {})
    with pytest.raises(KfpEdgeError, match=r"has no bundle of pump; it was not built by containerize"):
        fetch("pump", place, f"oci:{tmp_path}/registry", "0.1.0", tmp_path / "champion")
    assert not (tmp_path / "champion").exists()


def test_an_image_of_another_model_is_named(tmp_path: Path) -> None:
    valve = tiny_bundle(tmp_path / "bundle", "valve", "1.1.0")
    spec = ImageSpec.for_bundle(valve, None, "", ModelFormat.MODELCAR)
    image = build_by_appending(spec, ImageRepository.parse(f"oci:{tmp_path}/registry/pump"))
    fleet = create_fleet(tmp_path / "fleet", [site_with("first")])
    fleet.release("canary", image.digest, 10, image_name="localhost/pump")
    place = Place(str(fleet.repository), "main", "", {})
    with pytest.raises(
        KfpEdgeError, match=r"the ring canary runs .* as pump 1\.1\.0, and its bundle is valve 1\.1\.0;"
    ):
        fetch("pump", place, f"oci:{tmp_path}/registry", "0.1.0", tmp_path / "champion")
    assert not (tmp_path / "champion").exists()


def test_a_ring_that_does_not_exist_is_named(tmp_path: Path) -> None:
    fleet = create_fleet(tmp_path / "fleet", [site_with("first")])
    with pytest.raises(KfpEdgeError, match="no ring cnary; did you mean canary"):
        fetch("pump", Place(str(fleet.repository), "main", "cnary", {}), "", "0.1.0", tmp_path / "champion")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"file": "values.yaml", "yaml_path": "image"}, "image:\n  repository: localhost/pump\n  digest: {digest}\n"),
        ({"file": "values.yaml", "yaml_path": "image"}, "image: localhost/pump@{digest}\n"),
        ({"file": "values.yaml", "yaml_path": "digest"}, "digest: {digest}\n"),
        (
            {"file": "values.yaml", "image": "pump"},
            "images:\n- name: pump\n  newName: localhost/pump\n  digest: {digest}\n",
        ),
    ],
)
def test_a_repository_of_another_layout_names_it_in_any_of_its_forms(
    release: Callable[[ModelFormat], tuple[FleetClone, Bundle, ImageRef]],
    target: dict[str, str],
    text: str,
    tmp_path: Path,
) -> None:
    fleet, bundle, image = release(ModelFormat.IMAGE)
    fleet.commit({"values.yaml": text.format(digest=image.digest)}, 1)
    place = Place(str(fleet.repository), "main", "", target)
    result = fetch("pump", place, f"oci:{tmp_path}/registry", "0.1.0", tmp_path / "champion")
    assert result.version == "1.1.0"
    assert files_of(tmp_path / "champion" / "bundle") == files_of(bundle.folder)


@pytest.mark.parametrize(
    ("version", "following"),
    [("1.4.0", "1.4.1"), ("1.4.9", "1.4.10"), ("2026-09", "2026-10"), ("v7-rc", "v8-rc"), ("first", "first.1")],
)
def test_the_next_version_is_the_one_in_use_with_its_last_number_increased(version: str, following: str) -> None:
    assert increase(version) == following


def test_the_next_version_is_one_that_the_registry_does_not_have(
    release: Callable[[ModelFormat], tuple[FleetClone, Bundle, ImageRef]], tmp_path: Path
) -> None:
    from kfp_edge.images.registry import copy_image

    fleet, _, image = release(ModelFormat.IMAGE)
    for proposed in ("1.1.1", "1.1.2"):
        copy_image(image, ImageRepository.parse(f"oci:{tmp_path}/registry/pump"), proposed)
    place = Place(str(fleet.repository), "main", "", {})
    assert fetch("pump", place, f"oci:{tmp_path}/registry", "0.1.0", tmp_path / "x").next_version == "1.1.3"
