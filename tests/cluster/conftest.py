"""The cluster that the tests run against, and the table of what held.

What needs minutes, a run or a build, is a fixture of the session, which several tests look at.
"""

import logging
import os
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.client.submission.runtime_image import IMAGES_CONFIG_MAP, RUNTIME_KEY
from kfp_edge.errors import KfpEdgeError
from support.live_cluster.commands import KfpEdge, RunningCommand, StartRun
from support.live_cluster.gitops import GitOpsRepository
from support.live_cluster.installation import Names
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.logins import login_environment
from support.live_cluster.recorder import ObjectRecorder
from support.live_cluster.settings import Settings, SettingsError
from support.live_cluster.small_pipelines import SmallPipelines
from support.live_cluster.story import MODEL, Story
from support.live_cluster.summary import Case, case_words, format_table

#: The modules in the order in which they run: what would fail at once first, what looks back at all runs last.
ORDER = (
    *("test_installation", "test_doctor", "test_edge_mlops", "test_joined_stages", "test_quota", "test_failed_runs"),
    *("test_waiting_runs", "test_killed_stages", "test_schedules", "test_argo_cd", "test_permissions"),
)
_CASES = pytest.StashKey[dict[str, Case]]()

logger = logging.getLogger(__name__)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """What the environment says about the cluster; without it, nothing runs."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def live(settings: Settings, folder: Path) -> Iterator[LiveCluster]:
    """The cluster; at the end, the runs of the tests are deleted."""
    with pytest.MonkeyPatch.context() as patched:
        try:
            cluster = LiveCluster.connect(settings)
            variables = login_environment(cluster.cluster, settings, folder)
        except KfpEdgeError as error:
            pytest.exit(f"the cluster cannot be tested: {error}", returncode=2)
        for name, value in variables.items():
            patched.setenv(name, value)
        yield cluster
        logger.info("deleting the runs of the tests")
        cluster.delete_test_runs()


@pytest.fixture(scope="session")
def runtime_image(live: LiveCluster) -> str:
    """The image of the stages, as `kfp-edge submit` chooses it."""
    config_map = live.cluster.get("ConfigMap", IMAGES_CONFIG_MAP) or {}
    image = os.environ.get("KFP_EDGE_RUNTIME_IMAGE") or config_map.get("data", {}).get(RUNTIME_KEY, "")
    if not image:
        pytest.exit(
            f"set KFP_EDGE_RUNTIME_IMAGE, or name the image in the ConfigMap {IMAGES_CONFIG_MAP}.", returncode=2
        )
    return str(image)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands are called and their output is kept."""
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="session")
def kfp_edge(live: LiveCluster, runtime_image: str, folder: Path) -> KfpEdge:
    """The `kfp-edge` command for the tested project."""
    host = ["--host", live.settings.host] if live.settings.host else []
    options = ["--namespace", live.settings.namespace, *host]
    return KfpEdge(folder, options, {"KFP_EDGE_RUNTIME_IMAGE": runtime_image})


@pytest.fixture(scope="session")
def small(live: LiveCluster, runtime_image: str, folder: Path) -> SmallPipelines:
    """Pipelines of one small stage."""
    return SmallPipelines(folder, runtime_image, live.settings.secret("image_pull_secret"))


@pytest.fixture(scope="session")
def recorder(live: LiveCluster) -> Iterator[ObjectRecorder]:
    """What runs create in the cluster."""
    recording = ObjectRecorder(live)
    recording.start()
    yield recording
    recording.stop()


@pytest.fixture(scope="session")
def start_run(live: LiveCluster, kfp_edge: KfpEdge) -> Iterator[StartRun]:
    """A function that submits a run and follows it with `--wait`; what still follows one at the end is stopped."""
    commands: list[RunningCommand] = []

    def start(pipeline: str | Path, *options: str, command: KfpEdge = kfp_edge) -> RunningCommand:
        started = command.start(
            "submit", str(pipeline), "--experiment", live.experiment, "--no-cache", "--wait", *options
        )
        commands.append(started)
        logger.info("run %s of %s", started.run_id, Path(pipeline).stem)
        return started

    yield start
    for command in commands:
        command.stop()


@pytest.fixture(scope="session")
def server_command(live: LiveCluster, kfp_edge: KfpEdge) -> KfpEdge:
    """The command with the address of the server, for runs that `submit` otherwise refuses, as they would wait."""
    return kfp_edge.with_options("--namespace", live.settings.namespace, "--host", live.api.endpoint.host)


@pytest.fixture(scope="session")
def names(live: LiveCluster, runtime_image: str) -> Names:
    """The names of the tested project, for an overlay of deploy/openshift."""
    return Names.discover(live, runtime_image)


@pytest.fixture(scope="session")
def overlay(live: LiveCluster, names: Names, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay of the settings, else one that is written for the tested project."""
    return live.settings.overlay or names.write(tmp_path_factory.mktemp("overlay") / "openshift")


@pytest.fixture(scope="session")
def gitops(live: LiveCluster, folder: Path) -> GitOpsRepository:
    """The GitOps repository of the parameters."""
    return GitOpsRepository(live.cluster, live.settings, folder)


@pytest.fixture(scope="session")
def model_version() -> str:
    """A version of the model that no earlier session has released."""
    return f"0.0.{datetime.now(UTC):%Y%m%d%H%M%S}"


@pytest.fixture(scope="session")
def story_parameters(live: LiveCluster, model_version: str, folder: Path) -> Path:
    """The parameters of the complete run: those of the settings, and a model of its own."""
    build = live.settings.parameters.get("build", "auto") if live.has_tekton else "append"
    own = {"model_name": MODEL, "model_version": model_version, "build": build}
    return _write(folder / "story.yaml", {**live.settings.parameters, **own})


@pytest.fixture(scope="session")
def delivery_parameters(story_parameters: Path, folder: Path) -> Path:
    """Those of the stages that deliver its bundle again, some at a time: with half a processor for each pod."""
    names = (
        *("model_name", "model_version", "registry", "serving_image", "build", "build_options", "staging"),
        *("staging_options", "startup_timeout", "gitops_repo", "gitops_branch", "ring", "pull_requests"),
        *("data_connection", "ca_bundle", "image_pull_secret", "registry_secret", "git_secret", "forge_secret"),
        *("node_selector", "tolerations"),
    )
    given = yaml.safe_load(story_parameters.read_text())
    chosen = {name: given[name] for name in names if name in given}
    for options in ("build_options", "staging_options"):
        chosen[options] = {**chosen.get(options, {}), "cpu": "500m"}
    return _write(folder / "delivery.yaml", chosen)


@pytest.fixture(scope="session")
def story(
    recorder: ObjectRecorder,
    start_run: StartRun,
    story_parameters: Path,
    model_version: str,
    gitops: GitOpsRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    """One complete run of `edge_mlops`; its review branch is deleted at the end."""
    started = Story(start_run("edge_mlops", "--params", str(story_parameters)), model_version)
    yield started
    if started.branch in gitops.branches():
        gitops.delete_branch(started.branch, tmp_path_factory.mktemp("branch"))


def _write(path: Path, parameters: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(parameters))
    return path


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table."""
    config.stash[_CASES] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the modules of this folder in their order."""
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in the table how a test, what it prepared and what it removed ended."""
    report = yield
    cases = item.config.stash[_CASES]
    case = cases.setdefault(item.nodeid, Case(case_words(item.path.stem), case_words(item.name)))
    case.seconds += report.duration
    case.reason = next((str(value) for name, value in report.user_properties if name == "note"), case.reason)
    if report.skipped and isinstance(report.longrepr, tuple):
        case.outcome, case.reason = "skipped", report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        case.outcome, case.reason = "failed", crash.message if crash is not None else report.longreprtext
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    if cases := list(config.stash[_CASES].values()):
        terminalreporter.section("what held")
        terminalreporter.write_line(format_table(cases))
