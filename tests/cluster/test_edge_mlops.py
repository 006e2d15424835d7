"""The whole story: from data to a commit that pins a tested image, and nothing of it left in the cluster."""

import re
from pathlib import Path

import pytest
import yaml

from kfp_edge.images.oci.references import ImageRegistry
from kfp_edge.images.registry import find_digest
from support.live_cluster.commands import KfpEdge, RunningCommand
from support.live_cluster.gitops import GitOpsRepository
from support.live_cluster.live_cluster import LiveCluster, existing_objects
from support.live_cluster.recorder import ObjectRecorder
from support.live_cluster.settings import RUN_SECONDS
from support.live_cluster.story import MODEL, Story

STAGES = (
    *("preflight", "ingest", "train", "export", "verify"),
    *("containerize", "staging-test", "release", "gitops-commit", "clean-up"),
)


@pytest.fixture(scope="module", autouse=True)
def _ended(live: LiveCluster, story: Story) -> None:
    """The run has ended."""
    story.command.wait(live.settings.seconds(RUN_SECONDS))


def stages(command: RunningCommand) -> list[str]:
    """Return the stages that succeeded, as they were printed."""
    return re.findall(r"^✓ (\S+)", command.output, re.MULTILINE)


def test_the_run_succeeds(story: Story) -> None:
    assert story.command.process.returncode == 0, story.command.output


def test_every_stage_is_shown_as_it_succeeds(story: Story) -> None:
    assert sorted(stages(story.command)) == sorted(STAGES)


def test_the_metrics_are_printed(story: Story) -> None:
    assert re.search(r"^roc_auc +0\.\d+$", story.command.output, re.MULTILINE)


def test_the_report_of_a_stage_is_read(kfp_edge: KfpEdge, story: Story, tmp_path: Path) -> None:
    file = tmp_path / "verify.html"
    written = kfp_edge("runs", story.command.run_id, "--report", "verify", "--output", str(file))
    assert written.code == 0, written.output
    assert "<html" in file.read_text()


def test_a_taskrun_has_built_the_image(live: LiveCluster, story: Story, recorder: ObjectRecorder) -> None:
    if not live.has_tekton:
        pytest.skip("the cluster has no TaskRuns (Tekton), so the image was built with build=append")
    assert {"TaskRun", "Secret"} <= recorder.kinds[story.command.run_id]


def test_the_candidate_was_tested_behind_a_service(story: Story, recorder: ObjectRecorder) -> None:
    assert {"Deployment", "Service"} <= recorder.kinds[story.command.run_id]


def test_the_commit_pins_a_released_image(
    live: LiveCluster, story: Story, gitops: GitOpsRepository, tmp_path: Path
) -> None:
    ring = gitops.only_file(story.branch, f"rings/*/{MODEL}/kustomization.yaml", tmp_path / "clone")
    image = yaml.safe_load(ring)["images"][0]
    releases = ImageRegistry.parse(live.settings.parameters["registry"]).releases(MODEL)
    assert f"docker://{image['newName']}" == str(releases)
    assert image["digest"] == find_digest(releases, story.version)


def test_nothing_is_left_in_the_cluster(live: LiveCluster, story: Story) -> None:
    assert live.leftovers(story.command.run_id) == []


def test_no_build_context_is_left_in_the_object_store(
    live: LiveCluster, story: Story, recorder: ObjectRecorder
) -> None:
    if not live.has_tekton:
        pytest.skip("build=append has no build context")
    contexts = recorder.contexts[story.command.run_id]
    assert contexts, "no Secret of the build was seen"
    assert existing_objects(contexts) == []
