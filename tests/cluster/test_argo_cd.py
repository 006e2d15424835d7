"""A fleet delivered by the Argo CD of the cluster: what the README of `deploy/gitops` says that it does.

The fleet is on a branch of its own; its sites are namespaces of this cluster, which the tests create and delete.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.images.oci.references import ImageRef
from support.bundles import tiny_bundle
from support.live_cluster.argo_cd import LiveFleet, find_argo_cd, wait_until
from support.live_cluster.gitops import GitOpsRepository
from support.live_cluster.kubectl import apply, kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.logins import secret_values
from support.live_cluster.projects import new_namespace
from support.live_cluster.settings import PULL_SECONDS

#: Argo CD reads a repository again after three minutes unless it is asked to.
SYNC_SECONDS = 240.0
#: How long nothing may happen before it counts as not happening.
QUIET_SECONDS = 20.0
MODEL = "tiny"
#: Sites, and so Applications, whose names no others have; the first is in the ring `canary`.
FIRST, SECOND, THIRD, BROKEN = (f"kfp-edge-test-{number}" for number in range(1, 5))


@pytest.fixture(scope="module")
def images(live: LiveCluster, tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """Two images of a small model, as candidates in the registry of the parameters."""
    folder = tmp_path_factory.mktemp("bundles")
    parameters = live.settings.parameters
    bundles = [tiny_bundle(folder / str(number), version=f"0.0.{number}") for number in (1, 2)]
    place = str(parameters["registry"]), str(parameters["serving_image"])
    return [containerize(each.folder, *place, build="append") for each in bundles]


@pytest.fixture(scope="module")
def names(live: LiveCluster) -> dict[str, str]:
    """The namespace of each site."""
    return {site: f"{live.settings.namespace}-{site}" for site in (FIRST, SECOND, THIRD)}


@pytest.fixture(scope="module")
def fleet(
    live: LiveCluster,
    gitops: GitOpsRepository,
    images: list[ImageRef],
    names: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LiveFleet]:
    """A fleet whose first site (canary) and second site (all) run the first image."""
    argo_cd = find_argo_cd()
    login = secret_values(live.cluster, live.settings.secret("image_pull_secret")).get(".dockerconfigjson", "{}")
    folder = tmp_path_factory.mktemp("fleet") / "checkout"
    fleet = LiveFleet(live.experiment, f"{live.experiment}-fleet", argo_cd, gitops, folder, MODEL, login)
    with ExitStack() as created:
        for namespace in names.values():
            created.enter_context(new_namespace(namespace))
            fleet.prepare_namespace(namespace)
        fleet.create(images[0])
        fleet.write_site(FIRST, "canary", names[FIRST])
        fleet.write_site(SECOND, "all", names[SECOND])
        assert check_repository(folder) == []
        gitops.push_all(fleet.branch, folder, "a fleet")
        created.callback(gitops.delete_branch, fleet.branch, tmp_path_factory.mktemp("branch"))
        created.callback(fleet.remove)
        fleet.apply_hub()
        yield fleet


def wait_for_image(live: LiveCluster, fleet: LiveFleet, namespace: str, image: ImageRef) -> None:
    wanted = f"{image.repository}@{image.digest}"
    seconds = live.settings.seconds(SYNC_SECONDS + PULL_SECONDS)
    wait_until(lambda: fleet.running(namespace) == wanted, seconds, lambda: (fleet.errors(), fleet.running(namespace)))


def test_each_site_runs_the_digest_of_its_ring(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    for site in (FIRST, SECOND):
        wait_for_image(live, fleet, names[site], images[0])
    assert sorted(fleet.applications()) == [FIRST, SECOND]


def test_a_release_reaches_its_ring_only(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    fleet.release("canary", images[1])
    fleet.push("a release")
    wait_for_image(live, fleet, names[FIRST], images[1])
    assert fleet.running(names[SECOND]).endswith(images[0].digest)


def test_what_is_deleted_by_hand_comes_back(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    kubectl("-n", names[SECOND], "delete", "deployment", MODEL)
    wait_for_image(live, fleet, names[SECOND], images[0])


def test_a_broken_site_stops_the_generator_but_not_the_other_sites(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    broken = fleet.folder / f"sites/{BROKEN}"
    broken.mkdir()
    (broken / "site.yaml").write_text("name: [broken\n")
    assert f"sites/{BROKEN}/site.yaml, line 2: is not valid YAML" in str(check_repository(fleet.folder)[0])
    fleet.release("canary", images[0])
    fleet.push("a release and a broken site")
    seconds = live.settings.seconds(SYNC_SECONDS)
    wait_until(lambda: any(f"sites/{BROKEN}/site.yaml" in each for each in fleet.errors()), seconds)
    wait_for_image(live, fleet, names[FIRST], images[0])
    shutil.rmtree(broken)
    fleet.push("without it")
    wait_until(lambda: fleet.errors() == [], seconds, fleet.errors)


def test_a_closed_window_holds_back_changes_and_self_heal(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    later = datetime.now(UTC) + timedelta(hours=12)
    window = {"schedule": f"0 {later.hour} * * *", "duration": "1h", "timeZone": "Etc/UTC"}
    fleet.write_site(FIRST, "canary", names[FIRST], windows=[window])
    fleet.apply_hub()
    fleet.release("canary", images[1])
    commit = fleet.push("a release outside of the window")
    status = "OutOfSync"
    seconds = live.settings.seconds(SYNC_SECONDS)
    wait_until(lambda: fleet.application(FIRST)["status"]["sync"]["revision"] == commit, seconds)
    kubectl("-n", names[FIRST], "scale", "deployment", MODEL, "--replicas=0")
    with pytest.raises(AssertionError):
        wait_until(lambda: fleet.running(names[FIRST]) != "", live.settings.seconds(QUIET_SECONDS))
    assert fleet.application(FIRST)["status"]["sync"]["status"] == status
    fleet.write_site(FIRST, "canary", names[FIRST])
    fleet.apply_hub()
    fleet.push("always")
    wait_for_image(live, fleet, names[FIRST], images[1])


def test_a_sync_that_was_refused_is_tried_again_without_a_new_commit(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str]
) -> None:
    namespace = names[SECOND]
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-services"}}
    apply(quota | {"spec": {"hard": {"count/services": "0"}}}, "-n", namespace)
    kubectl("-n", namespace, "delete", "service", MODEL)
    seconds = live.settings.seconds(SYNC_SECONDS)
    wait_until(lambda: fleet.application(SECOND)["status"]["operationState"].get("retryCount", 0) > 0, seconds)
    kubectl("-n", namespace, "delete", "resourcequota", "no-services")
    wait_until(lambda: kubectl("-n", namespace, "get", "service", MODEL, "--ignore-not-found") != "", seconds)


def test_a_site_that_is_removed_goes_on_running(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    shutil.rmtree(fleet.folder / f"sites/{SECOND}")
    fleet.push("without the second site")
    wait_until(lambda: fleet.applications() == [FIRST], live.settings.seconds(SYNC_SECONDS), fleet.applications)
    assert fleet.running(names[SECOND]).endswith(images[0].digest)


def test_a_site_with_an_argo_cd_of_its_own_needs_no_hub(
    live: LiveCluster, fleet: LiveFleet, names: dict[str, str], images: list[ImageRef]
) -> None:
    fleet.write_site(THIRD, "all", names[THIRD], delivery="site")
    fleet.push("the third site")
    file = fleet.folder / f"argocd/site/{THIRD}.yaml"
    # the hub is in this cluster, too, and has a project of that name
    alone = file.read_text().replace(f'"{fleet.name}"', f'"{fleet.name}-alone"')
    kubectl("apply", "-n", fleet.argo_cd, "-f", "-", stdin=alone)
    try:
        wait_for_image(live, fleet, names[THIRD], images[0])
    finally:
        kubectl("delete", "-n", fleet.argo_cd, "-f", "-", "--ignore-not-found", stdin=alone)
    assert fleet.running(names[THIRD]).endswith(images[0].digest)
