"""The same run with `--join-stages`: fewer pods, and the image and the report that it has without."""

from pathlib import Path

import pytest

from kfp_edge.images.oci.references import ImageRegistry
from kfp_edge.images.registry import find_digest
from support.live_cluster.commands import KfpEdge, RunningCommand, StartRun
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import RUN_SECONDS
from support.live_cluster.story import MODEL, Story


@pytest.fixture(scope="module")
def released(live: LiveCluster, story: Story) -> str:
    """The digest of the release of the run whose stages are not joined."""
    if story.command.wait(live.settings.seconds(RUN_SECONDS)) != 0:
        pytest.skip("the run of edge_mlops that this one is compared with did not succeed")
    return digest(live, story)


@pytest.fixture(scope="module")
def joined(live: LiveCluster, released: str, start_run: StartRun, story_parameters: Path) -> RunningCommand:
    command: RunningCommand = start_run("edge_mlops", "--params", str(story_parameters), "--join-stages")
    command.wait(live.settings.seconds(RUN_SECONDS))
    return command


def digest(live: LiveCluster, story: Story) -> str:
    releases = ImageRegistry.parse(live.settings.parameters["registry"]).releases(MODEL)
    return str(find_digest(releases, story.version))


def test_the_run_succeeds(joined: RunningCommand) -> None:
    assert joined.process.returncode == 0, joined.output


def test_it_takes_fewer_pods(live: LiveCluster, story: Story, joined: RunningCommand) -> None:
    assert len(live.pods(joined.run_id)) < len(live.pods(story.command.run_id))


def test_the_image_is_the_same(live: LiveCluster, story: Story, released: str, joined: RunningCommand) -> None:
    assert joined.process.returncode == 0
    assert digest(live, story) == released


def test_the_report_of_a_stage_is_the_same(
    kfp_edge: KfpEdge, story: Story, joined: RunningCommand, tmp_path: Path
) -> None:
    reports = []
    for run_id in (story.command.run_id, joined.run_id):
        file = tmp_path / f"{run_id}.html"
        written = kfp_edge("runs", run_id, "--report", "train", "--output", str(file))
        assert written.code == 0, written.output
        reports.append(file.read_text())
    assert reports[0] == reports[1]


def test_nothing_is_left_in_the_cluster(live: LiveCluster, joined: RunningCommand) -> None:
    assert live.leftovers(joined.run_id) == []
