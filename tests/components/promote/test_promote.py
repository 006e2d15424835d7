"""The component `promote`: what its outputs say of a rollout."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import Markdown

from kfp_edge.components.promote import run
from kfp_edge.components.promote.component import promote
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.git_repositories import isolate
from support.model_images import ModelImages, write_model_images
from support.prometheus import NOW, Served, prometheus_with

OLD = DIGESTS[0]


class Now(datetime):
    """The present of the metrics."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return NOW


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(run, "datetime", Now)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ModelImages:
    """A registry with two versions of a model, and their digests."""
    return write_model_images(tmp_path_factory.mktemp("images"), "1.0.0", "1.1.0")


@pytest.fixture(scope="module")
def prometheus(images: ModelImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    new = images[1][1]
    servers = [Served("well", new, (30, 0)), Served("failing", new, (30, 0), errors=9), Served("new", new, (2, 0))]
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), servers) as url:
        yield url


@pytest.fixture
def fleets(tmp_path: Path, prometheus: str, images: ModelImages) -> Callable[[str], FleetClone]:
    def start(canary: str) -> FleetClone:
        sites = [site_with(canary), site_with("last", "all")]
        fleet = create_fleet(tmp_path / "fleet", sites, metrics=prometheus)
        for ring in ("canary", "all"):
            fleet.release(ring, images[1][0], 900)
        fleet.release("canary", images[1][1], 31)
        return fleet

    return start


def outputs(fleet: FleetClone, images: ModelImages, folder: Path) -> tuple[Any, str]:
    rollout = Markdown(uri=str(folder / "rollout.md"))
    values = promote.python_func("pump", str(fleet.repository), rollout, image_registry=images[0])
    return values, (folder / "rollout.md").read_text()


def test_a_healthy_ring_gives_the_next_one_its_review_branch(
    fleets: Callable[[str], FleetClone], images: ModelImages, tmp_path: Path
) -> None:
    values, report = outputs(fleets("well"), images, tmp_path)
    assert values == ("go on", ["kfp-edge/pump/1.1.0@all"], [])
    assert report.startswith("# Rollout: go on\n")
    assert "| soak time of ring canary | yes | " in report
    assert "## Roll back" in report


def test_a_ring_that_is_not_ready_yet_gives_none(fleets: Any, images: ModelImages, tmp_path: Path) -> None:
    values, report = outputs(fleets("new"), images, tmp_path)
    assert values == ("wait", [], [])
    assert "| soak time of ring canary | **no** | " in report


def test_a_ring_that_fails_is_a_warning_and_no_failure_of_the_stage(
    fleets: Callable[[str], FleetClone],
    images: ModelImages,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values, report = outputs(fleets("failing"), images, tmp_path)
    assert values == ("abort", [f"kfp-edge/pump/rollback-{images[1][1][7:19]}@canary"], [])
    assert report.startswith("# Rollout: abort\n")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kfp-edge: ")]
    assert '"warnings": ["The rollout was stopped. Error rate of ring canary: ' in line


def test_a_model_that_the_fleet_does_not_have_ends_the_stage_with_one_sentence(
    fleets: Callable[[str], FleetClone], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = fleets("well")
    with pytest.raises(SystemExit):
        promote.python_func("fan", str(fleet.repository), Markdown(uri=str(tmp_path / "rollout.md")))
    assert "error: the ring canary has no model fan; it has pump." in capsys.readouterr().err
