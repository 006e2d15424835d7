"""The component `rollback` and its pipeline, in a run on this machine."""

from pathlib import Path

import pytest

from kfp_edge import local
from support.fleet_history import FleetClone, create_fleet
from support.fleets import site_with
from support.git_repositories import isolate
from support.model_images import ModelImages, write_model_images


@pytest.fixture
def registry(tmp_path: Path) -> ModelImages:
    """A registry with two versions of a model, and their digests."""
    return write_model_images(tmp_path, "1.0.0", "1.1.0")


@pytest.fixture
def fleet(tmp_path: Path, registry: ModelImages, monkeypatch: pytest.MonkeyPatch) -> FleetClone:
    isolate(monkeypatch, tmp_path)
    made = create_fleet(tmp_path / "fleet", [site_with("hall-1")])
    for digest in registry[1]:
        made.release("canary", digest, 10)
    return made


def test_the_pipeline_proposes_the_image_before(fleet: FleetClone, registry: ModelImages, tmp_path: Path) -> None:
    parameters = {
        "model_name": "pump",
        "gitops_repo": str(fleet.repository),
        "ring": "canary",
        "reason": "It is too warm.",
        "image_registry": registry[0],
    }
    run = local.run("rollback", parameters, out=tmp_path / "run", on_progress=lambda _: None)
    branch = f"kfp-edge/pump/rollback-{registry[1][1][7:19]}@canary"
    assert registry[1][0] in fleet.show("rings/canary/pump/kustomization.yaml", branch)
    report = Path(run.summary["reports"]["rollback"]).read_text()
    assert f"was committed to the branch {branch}" in report
    assert "It is too warm." in report


def test_without_an_image_before_it_ends_with_one_sentence(
    fleet: FleetClone, registry: ModelImages, tmp_path: Path
) -> None:
    parameters = {"model_name": "pump", "gitops_repo": str(fleet.repository), "ring": "al"}
    with pytest.raises(local.RunFailedError, match="fleet.yaml has no ring al; did you mean all"):
        local.run("rollback", parameters, out=tmp_path / "run", on_progress=lambda _: None)
