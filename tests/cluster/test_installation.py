"""The manifests of deploy/openshift, in the tested project and in a new one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live_cluster.installation import Names, apply_overlay
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.projects import new_namespace


def test_what_is_installed_is_what_the_manifests_say(live: LiveCluster, overlay: Path) -> None:
    """A dry run of the server: nothing is changed."""
    changes = apply_overlay(overlay, "--dry-run=server")
    assert {name: change for name, change in changes.items() if change != "unchanged"} == {}


@pytest.fixture(scope="module")
def new_project(live: LiveCluster, names: Names, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project without anything, and the overlay for it; the overlay creates the staging namespace."""
    project, staging = f"{names.project}-kfp-edge-test", f"{names.staging}-kfp-edge-test"
    with new_namespace(project), new_namespace(staging, is_created=False):
        new = Names(project, staging, names.runner, names.runtime_image, names.registry_port, names.storage_port)
        yield new.write(tmp_path_factory.mktemp("installation") / "openshift")


@pytest.fixture(scope="module")
def first_apply(new_project: Path) -> dict[str, str]:
    return apply_overlay(new_project)


def test_a_new_project_takes_all_manifests(first_apply: dict[str, str]) -> None:
    assert set(first_apply.values()) == {"created"}


def test_a_second_apply_changes_nothing(new_project: Path, first_apply: dict[str, str]) -> None:
    assert apply_overlay(new_project) == dict.fromkeys(first_apply, "unchanged")
