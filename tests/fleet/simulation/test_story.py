"""`fleet simulate` without containers: what happens to a release that is good, and to one that is not."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.simulation.images import build_images
from kfp_edge.fleet.simulation.models import MODEL
from kfp_edge.fleet.simulation.story import Plan, find_base
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import read_manifest
from support.git_repositories import git
from support.images import tiny_base

SITES = 6


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal printed and left in its folder."""

    output: str
    folder: Path

    def events(self, ring: str = "") -> list[str]:
        """The lines of the timeline, without the numbers; those of one ring, or of all."""
        lines = re.findall(r"^\w{3} \d\d:\d\d  (\w* *\S.*)$", self.output, re.MULTILINE)
        return [line.removeprefix(ring).strip() for line in lines if not ring or line.startswith(f"{ring} ")]

    def digest(self, ring: str, version: str) -> bool:
        """Whether a ring ever had a version, by the history of the repository."""
        images = git(self.folder / "fleet.git", "log", "--format=%B", "main")
        digest = re.search(rf"Image: \S+@(sha256:\w+)\nModel-Version: {re.escape(version)}", images)
        assert digest is not None
        path = f"rings/{ring}/press-failure/kustomization.yaml"
        return digest[1] in git(self.folder / "fleet.git", "log", "--patch", "--format=", "main", "--", path)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("rehearsal") / "output"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kfp_edge.fleet.simulation.containers.has_podman", lambda: False)
        result = CliRunner().invoke(app, ["fleet", "simulate", "--sites", str(SITES), "--output", str(folder)])
    assert result.exit_code == 0, result.output
    return Rehearsal(result.output, folder)


def test_it_says_that_it_is_no_replacement_for_argo_cd_and_what_it_left_out(rehearsal: Rehearsal) -> None:
    assert "in simulated time; no replacement for Argo CD." in rehearsal.output
    assert "Podman is not installed: all sites are recorded, and no container is started." in rehearsal.output
    assert "0 sites with a container, 6 recorded" in rehearsal.output


def test_the_images_are_put_on_the_serving_image_that_the_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(tmp_path / "base")
    monkeypatch.setenv("KFP_EDGE_SERVING_IMAGE", str(base))
    folder = tmp_path / "images"
    for digest in build_images(folder, find_base(Plan(3, 1), print)).values():
        layers = read_manifest(ImageRepository("oci", str(folder / MODEL)).image(digest))["layers"]
        assert layers[:-1] == read_manifest(base)["layers"]


def test_a_good_release_reaches_one_ring_after_another(rehearsal: Rehearsal) -> None:
    assert "press-failure 1.1.0 is merged for 1 site (kfp-edge/press-failure/1.1.0)" in rehearsal.events("canary")
    assert "2 sites: the ring gets 1.1.0 (kfp-edge/press-failure/1.1.0@early)" in rehearsal.events("early")
    assert "3 sites: the ring gets 1.1.0 (kfp-edge/press-failure/1.1.0@all)" in rehearsal.events("all")
    assert "fleet status: 6 sites: 6 up to date" in rehearsal.events()


def test_a_site_whose_link_is_cut_holds_its_ring_up_and_catches_up(rehearsal: Rehearsal) -> None:
    events = rehearsal.events("canary")
    cut = events.index("the link of hall-01 is cut: no commits, no metrics")
    assert events[cut + 1 : cut + 5] == [
        "press-failure 1.1.0 is merged for 1 site (kfp-edge/press-failure/1.1.0)",
        "promote: wait",
        "the link of hall-01 is back",
        "1 runs 1.1.0",
    ]
    assert "offline sites: 1 of 1 not seen for 1 h; required at most 0%" in rehearsal.output


def test_a_site_is_waiting_for_a_window(rehearsal: Rehearsal) -> None:
    assert "1 runs 1.1.0, 1 runs 1.0.0 (hall-03 is waiting for a window)" in rehearsal.events("early")
    assert re.search(r"^Mon 22:0\d  early  2 run 1\.1\.0$", rehearsal.output, re.MULTILINE)


def test_a_release_that_fails_in_the_first_ring_never_reaches_the_second(rehearsal: Rehearsal) -> None:
    events = rehearsal.events("canary")
    refused = events.index("hall-01: it is not ready in time; the site runs what it ran before")
    assert events[refused + 1] == "promote: abort"
    assert "(hall-01: it has not taken the digest within 1 h); required at most 0%" in rehearsal.output
    assert rehearsal.digest("canary", "1.2.0")
    assert not rehearsal.digest("early", "1.2.0")


def test_the_first_ring_is_taken_back_by_its_history(rehearsal: Rehearsal) -> None:
    events = rehearsal.events("canary")
    assert "rollback from 1.2.0 to 1.1.0 is proposed" in events
    assert any(event.startswith("1 site: the ring goes back to 1.1.0 ") for event in events)


def test_a_person_takes_the_last_ring_back(rehearsal: Rehearsal) -> None:
    events = rehearsal.events("all")
    assert "rollback from 1.1.0 to 1.0.0 is proposed" in events
    assert events[-1] == "3 run 1.0.0"
    assert rehearsal.events()[-1] == "fleet status: 6 sites: 6 up to date"


def test_every_decision_is_in_the_repository(rehearsal: Rehearsal) -> None:
    files = git(rehearsal.folder / "fleet.git", "ls-tree", "-r", "--name-only", "main", "audit/").split()
    assert [re.sub(r".*Z-", "", file) for file in files] == [
        "promote-early.json",
        "promote-all.json",
        "rollback-canary.json",
        "rollback-all.json",
    ]


def test_the_page_has_the_rollout_over_time_and_its_limits(rehearsal: Rehearsal) -> None:
    page = (rehearsal.folder / "rehearsal.html").read_text()
    assert "data:image/svg+xml" in page
    assert "This is a rehearsal, and no replacement for Argo CD." in page
    assert "promote: abort" in page
    assert "No site ran a container." in page


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--sites", "2"], "--sites 2 is too few: each of the 3 rings needs one."),
        (["--sites", "5", "--containers", "6"], "--containers 6 has to be from 0 to the 5 sites."),
        (["--containers", "-1"], "--containers -1 has to be from 0 to the 50 sites."),
        (["--output", "{folder}"], "is not an empty folder; name one that is empty or not there."),
        (["--output", "{folder}/file"], "is not an empty folder; name one that is empty or not there."),
        (["--output", "{folder}/file/below"], "cannot make "),
        (["--html", "{folder}"], "is a folder; name a file in it."),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(tmp_path: Path, options: list[str], reason: str) -> None:
    (tmp_path / "file").touch()
    given = [option.replace("{folder}", str(tmp_path)) for option in options]
    result = CliRunner().invoke(app, ["fleet", "simulate", *given])
    assert isinstance(result.exception, KfpEdgeError), result.output
    assert reason in str(result.exception)


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    command = [Path(sys.executable).with_name("kfp-edge"), "fleet", "simulate", "--sites", "3", "--containers", "0"]
    env = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "all 3 sites run 1.0.0" in line)
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        assert process.wait() == 130
    assert not list((tmp_path / "temporary").iterdir())
    assert not list(tmp_path.glob(".kfp-edge/*"))
