"""`fleet simulate` with a real container, which gets a release late, refuses a bad one and is taken back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_edge.fleet.simulation.story import Plan
from kfp_edge.images.podman import podman


@pytest.mark.containers
def test_a_site_with_a_container_goes_through_the_story(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("kfp-edge"), "fleet", "simulate", "--sites", "3", "--containers", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 3 sites run 1.0.0, as containers at hall-01" in done.stdout
    assert "the site runs what it ran before" in done.stdout
    assert "rollback from 1.2.0 to 1.1.0 is proposed" in done.stdout
    assert "1 site with a container, 2 recorded" in done.stdout
    page = (tmp_path / ".kfp-edge/rehearsal.html").read_text()
    assert "hall-01 ran the real server with `podman kube play`, and reported its metrics." in page
    assert "hall-01" not in podman("pod", "ps")
    assert "press-failure" not in podman("images")


@pytest.mark.containers
def test_an_interrupt_ends_the_containers(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("kfp-edge"), "fleet", "simulate", "--sites", "3", "--containers", "3"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ, text=True, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "as containers at hall-01, hall-02, hall-03" in line)
        assert podman("pod", "ps").count("Running") == 3
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        assert process.wait() == 130
    assert "hall-0" not in podman("pod", "ps")
    assert "press-failure" not in podman("images")


@pytest.mark.containers
def test_pods_of_a_real_site_of_that_name_are_not_touched(tmp_path: Path) -> None:
    podman("pod", "create", "--name", "press", "--label", "kfp-edge.io/site=hall-01")
    try:
        command = [Path(sys.executable).with_name("kfp-edge"), "fleet", "simulate", "--sites", "3", "--containers", "1"]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "this machine runs press of a site hall-01, which the rehearsal would replace" in done.stderr
        assert "press" in podman("pod", "ps")
    finally:
        podman("pod", "rm", "--force", "press")


@pytest.mark.parametrize(
    ("sites", "containers", "expected"),
    [
        (50, 3, ["hall-01", "hall-06", "hall-21"]),
        (50, 5, ["hall-01", "hall-06", "hall-21", "hall-02", "hall-07"]),
        (3, 3, ["hall-01", "hall-02", "hall-03"]),
        (100, 0, []),
    ],
)
def test_containers_are_in_every_ring(sites: int, containers: int, expected: list[str]) -> None:
    assert Plan(sites, containers).with_container() == expected
