"""Podman is set up so that it works on this machine, and images come and go with a run."""

import os
import platform
import tomllib
import uuid
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images import podman
from kfp_edge.images.platforms import architecture_of
from support.images import tiny_base


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which podman's defaults work."""
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.setenv("KFP_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(podman, "_HYBRID", tmp_path / "cgroup.controllers")
    monkeypatch.setattr(podman, "_STATUS", tmp_path / "status")
    (tmp_path / "status").write_text("Name:\tpython\nCapEff:\t000001ffffffffff\n")


@pytest.fixture
def hybrid(ordinary: None, tmp_path: Path) -> None:
    """A machine with controllers in both hierarchies, on which crun starts nothing."""
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")


def settings(tmp_path: Path) -> dict[str, dict[str, object]]:
    path = podman.podman_environment()["CONTAINERS_CONF"]
    assert Path(path) == tmp_path / "cache" / "containers.conf"
    return tomllib.loads(Path(path).read_text())


@pytest.mark.usefixtures("ordinary")
def test_an_ordinary_machine_is_left_as_it_is() -> None:
    assert podman.podman_environment() == dict(os.environ)


@pytest.mark.usefixtures("hybrid")
def test_hybrid_cgroups_get_runc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: f"/usr/sbin/{name}")
    engine = settings(tmp_path)["engine"]
    assert engine == {"runtime": "runc", "cgroup_manager": "cgroupfs", "events_logger": "file"}


@pytest.mark.usefixtures("hybrid")
def test_hybrid_cgroups_without_runc_are_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(KfpEdgeError, match="install runc"):
        podman.podman_environment()


@pytest.mark.usefixtures("ordinary")
def test_root_who_cannot_raise_limits_gets_lower_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nCapEff:\t000001fffeffffff\n")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert settings(tmp_path)["containers"].keys() == {"default_ulimits"}


@pytest.mark.usefixtures("hybrid")
def test_a_configuration_of_the_users_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", "/etc/mine.conf")
    assert podman.podman_environment()["CONTAINERS_CONF"] == "/etc/mine.conf"


@pytest.mark.containers
def test_of_an_index_the_image_for_this_machine_is_loaded_and_then_removed(tmp_path: Path) -> None:
    image = tiny_base(tmp_path / "several", "amd64", "arm64/v8")
    name = f"localhost/kfp-edge/test:{uuid.uuid4().hex}"
    with podman.loaded_image(image, name):
        architecture = podman.podman("inspect", "--format={{.Architecture}}", name).strip()
    assert architecture == architecture_of(platform.machine())
    assert podman.podman("images", "--quiet", name) == ""
