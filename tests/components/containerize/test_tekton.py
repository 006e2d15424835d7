"""The build in the cluster: a fake Kubernetes whose TaskRuns really run, a real object store and a real registry."""

import base64
import contextlib
import io
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from kfp_edge.cluster.metadata import EXPIRES_ANNOTATION
from kfp_edge.components.containerize import tekton
from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, image_exists, read_config, read_manifest
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Fault, Image, TektonController
from support.images import last_layer, members, platform_images, tiny_base
from support.registry import RegistryServer, write_auth_file
from support.registry_proxy import FaultyRegistry
from support.s3 import S3Server, s3_server
from support.schemas import check

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group("line"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the fake Tekton needs root to run steps"),
]

NAMESPACE = "ds-project"
USER = f"system:serviceaccount:{NAMESPACE}:pipeline-runner-dspa"
BUCKET = "builds"
BUILDER = "quay.io/kfp-edge-test/buildah@sha256:" + "0" * 64
RUN = "0b1c2d3e-1111-4222-8333-444455556666"


@dataclass
class World:
    """All that a build in the cluster meets."""

    fake: FakeKubernetes
    tekton: TektonController
    store: S3Server
    registry: RegistryServer
    folder: Path

    @property
    def options(self) -> dict[str, Any]:
        return {
            "context": f"s3://{BUCKET}/contexts",
            "builder_image": BUILDER,
            "registry_secret": "registry-login",
            "ca_bundle": "registry-ca",
            "timeout": 120.0,
        }

    def push(self, base: ImageRef, name: str) -> ImageRef:
        """Put a base where the cluster can pull it."""
        return copy_image(base, ImageRegistry.parse(self.registry.url).repository(name), "1.0")

    def give_login(self, auth_file: Path) -> None:
        """Let builds use the credentials of a containers-auth.json(5)."""
        data = {".dockerconfigjson": base64.b64encode(auth_file.read_bytes()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": data}
        self.fake.apply(secret | {"metadata": {"name": "registry-login", "namespace": NAMESPACE}})

    def stored(self) -> list[str]:
        """The addresses of what is in the object store."""
        found = self.store.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [f"s3://{BUCKET}/{each['Key']}" for each in found]

    def made(self) -> list[dict[str, Any]]:
        """What builds have made in the cluster and is there now."""
        found = [each for kind in ("TaskRun", "Secret", "Pod") for each in self.fake.objects(kind)]
        return [each for each in found if "kfp-edge.io/run" in each["metadata"].get("labels", {})]

    def remove_all(self) -> None:
        """Delete what builds have made in the cluster; what it owns goes with a TaskRun."""
        for kind in ("TaskRun", "Secret"):
            for each in self.made():
                if each["kind"] == kind:
                    self.fake.delete(kind, NAMESPACE, each["metadata"]["name"])

    def seen(self) -> list[dict[str, Any]]:
        """Every state that an object of a build was in."""
        history = [change.object for change in self.fake.store.history]
        return [each for each in history if "kfp-edge.io/run" in each["metadata"].get("labels", {})]

    def use(self, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let all be well, and us and the builds use a registry."""
        self.tekton.images, self.tekton.fault, self.tekton.specific_reasons = {BUILDER: Image()}, None, False
        self.registry = registry
        self.give_login(registry.auth_file)
        ca = {"ca.crt": (registry.cert_dir / "ca.crt").read_text()}
        metadata = {"name": "registry-ca", "namespace": NAMESPACE}
        self.fake.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": ca})
        for name, value in registry.env.items():
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def here(
    store: S3Server,
    registry_server: RegistryServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """We are in a pod of a cluster, which may reach the store and the registry."""
    folder = tmp_path_factory.mktemp("world")
    controller = TektonController({BUILDER: Image()})
    with (
        FakeKubernetes(folder / "kubernetes", controllers=[controller]) as fake,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name in ("SOURCE_DATE_EPOCH", "KFP_EDGE_SERVING_IMAGE", "KFP_POD_NAME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in (store.env | fake.pod(USER, NAMESPACE)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KFP_EDGE_CACHE", str(folder / "cache"))
        yield World(fake, controller, store, registry_server, folder)


@pytest.fixture
def world(here: World, registry_server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> World:
    here.use(registry_server, monkeypatch)
    return here


@pytest.fixture
def base(world: World, tmp_path: Path) -> ImageRef:
    return world.push(tiny_base(tmp_path / "base"), "tiny-base")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.name}"[:60])


@dataclass
class Done:
    """A build that went well: its image, what it said, and its objects as they were at first and at last."""

    image: ImageRef
    said: str
    first: dict[str, dict[str, Any]]
    last: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def done(here: World, registry_server: RegistryServer, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("done")
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(said):
        here.use(registry_server, monkeypatch)
        base = here.push(tiny_base(folder / "base"), "tiny-base")
        tolerations = [{"key": "builds", "operator": "Exists", "tolerationSeconds": 60.0}]
        options = here.options | {"node_selector": {"disk": "fast"}, "tolerations": tolerations, "cpu": "500m"}
        bundle = tiny_bundle(folder / "bundle", version="1-done")
        image = containerize(bundle.folder, here.registry.url, str(base), build_options=options, run_id="the-run")
    states = [each for each in here.seen() if each["metadata"]["labels"]["kfp-edge.io/run"] == "the-run"]
    first = {each["kind"]: each for each in reversed(states)}
    return Done(image, said.getvalue(), first, {each["kind"]: each for each in states})


def build(world: World, bundle: Bundle, base: ImageRef, how: str = "auto", **options: Any) -> ImageRef:
    chosen = world.options | options
    return containerize(bundle.folder, world.registry.url, str(base), "def456", how, chosen, RUN)


def run_settings(image: ImageRef) -> dict[str, Any]:
    """Labels, user, command and the like, but not what is no part of OCI: Buildah drops it."""
    settings = read_config(image)["config"]
    return {key: settings[key] for key in settings if key != "Healthcheck"}


def tag_of(world: World, bundle: Bundle) -> str | None:
    candidates = ImageRegistry.parse(world.registry.url).candidates("tiny")
    return find_digest(candidates, f"{bundle.manifest.version}-{bundle.digest[:12]}")


class TestTheImage:
    def test_of_a_build_in_a_pod_has_the_files_and_labels_of_append(
        self, world: World, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        (built,) = platform_images(build(world, bundle, base), tmp_path / "built")
        (appended,) = platform_images(build(world, bundle, base, "append"), tmp_path / "appended")
        assert members(last_layer(built)) == members(last_layer(appended))
        assert run_settings(built) == run_settings(appended)

    def test_keeps_the_layers_of_a_base_in_the_same_registry(
        self, world: World, bundle: Bundle, base: ImageRef
    ) -> None:
        below = [layer["digest"] for layer in read_manifest(base)["layers"]]
        assert [layer["digest"] for layer in read_manifest(build(world, bundle, base))["layers"]][:-1] == below

    def test_is_tagged_and_named_by_the_digest_that_the_registry_reports(
        self, world: World, bundle: Bundle, base: ImageRef
    ) -> None:
        image = build(world, bundle, base)
        assert image.home == ImageRegistry.parse(world.registry.url).candidates("tiny")
        assert tag_of(world, bundle) == image.digest

    def test_is_the_same_for_the_same_bundle(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        assert build(world, bundle, base) == build(world, bundle, base)

    def test_is_for_every_processor_of_the_base(self, world: World, bundle: Bundle, tmp_path: Path) -> None:
        base = world.push(tiny_base(tmp_path / "several", "amd64", "arm64/v8"), "several")
        candidate = build(world, bundle, base)
        platforms = [entry["platform"] for entry in read_manifest(candidate)["manifests"]]
        assert [platform["architecture"] for platform in platforms] == ["amd64", "arm64"]
        built = platform_images(candidate, tmp_path / "built")
        appended = platform_images(build(world, bundle, base, "append"), tmp_path / "appended")
        assert [members(last_layer(image)) for image in built] == [members(last_layer(image)) for image in appended]

    def test_that_is_not_what_was_to_be_built_is_refused(
        self, world: World, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        other = copy_image(base, ImageRegistry.parse(world.registry.url).candidates("tiny"), "other")
        shim = tmp_path / "shim"
        shim.mkdir()
        find = "for each; do case $each in --digestfile=*) file=${each#*=};; esac; done"
        script = f'#!/bin/sh\n{find}\nprintf %s {other.digest} >"${{file:-/dev/null}}"\n'
        (shim / "buildah").write_text(script)
        (shim / "buildah").chmod(0o755)
        world.tekton.images = {BUILDER: Image(environment={"PATH": f"{shim}:/usr/bin:/bin"}, folders=(shim,))}
        with pytest.raises(KfpEdgeError, match=f"{other.digest} has the label .*=None, but 'tiny' was to be built"):
            build(world, bundle, base)


class TestTheObjectsOfABuild:
    def test_are_all_gone_when_it_is_done(self, done: Done, world: World) -> None:
        assert (world.made(), world.stored()) == ([], [])

    @pytest.mark.parametrize("kind", ["TaskRun", "Secret"])
    def test_are_labelled_and_expire(self, done: Done, kind: str) -> None:
        metadata = done.first[kind]["metadata"]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "kfp-edge"
        assert metadata["labels"]["app.kubernetes.io/component"] == "build"
        assert EXPIRES_ANNOTATION in metadata["annotations"]

    @pytest.mark.parametrize("kind", ["TaskRun", "Secret"])
    def test_go_with_our_pod(self, done: Done, world: World, kind: str) -> None:
        (owner,) = done.first[kind]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Pod", os.environ["HOSTNAME"])
        assert "blockOwnerDeletion" not in owner

    def test_go_with_the_task_run(self, done: Done) -> None:
        (owner,) = done.last["Secret"]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("TaskRun", done.first["TaskRun"]["metadata"]["uid"])

    def test_do_not_show_the_link(self, done: Done) -> None:
        assert "Signature" not in done.said + str(done.last["TaskRun"]) + str(done.last["Pod"])

    def test_are_what_tekton_takes(self, done: Done) -> None:
        check(done.first["TaskRun"])

    def test_run_where_and_as_long_as_the_options_say(self, done: Done) -> None:
        spec = done.first["TaskRun"]["spec"]
        assert spec["podTemplate"]["nodeSelector"] == {"disk": "fast"}
        assert spec["podTemplate"]["tolerations"] == [{"key": "builds", "operator": "Exists", "tolerationSeconds": 60}]
        assert spec["timeout"] == "120s"


def test_the_log_of_every_step_is_in_ours(done: Done) -> None:
    assert "[fetch] fetched the build context" in done.said
    assert f"@{done.image.digest}" in next(line for line in done.said.splitlines() if "[build-and-push] pushed" in line)


def test_a_cluster_that_stumbles_is_no_failure(world: World, bundle: Bundle, base: ImageRef) -> None:
    world.fake.fail("create", "taskruns", 500, retry_after=0)
    world.fake.fail("get", "pods", 429, retry_after=0)
    world.fake.drop_connections(done=True)
    world.fake.drop_watches()
    assert image_exists(build(world, bundle, base))


class TestWhatCannotBeBuiltInACluster:
    def test_has_no_place_for_its_context(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="name s3://BUCKET/PREFIX in build_options"):
            build(world, bundle, base, context="")

    def test_goes_into_a_folder(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="cannot push to oci:"):
            containerize(bundle.folder, f"oci:{world.folder}", str(base), build_options=world.options)

    def test_has_a_base_that_is_in_no_registry(self, world: World, bundle: Bundle) -> None:
        with pytest.raises(KfpEdgeError, match="cannot reach the serving image 'auto'"):
            containerize(bundle.folder, world.registry.url, build_options=world.options)

    def test_may_not_write_to_the_object_store(
        self, world: World, bundle: Bundle, base: ImageRef, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-one")
        with pytest.raises(KfpEdgeError, match="the object store denied access to s3://builds/contexts/build-"):
            build(world, bundle, base)
        assert world.made() == []


class TestABuildThatFails:
    """Each is told in one sentence, and nothing of it is left."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, world: World) -> Iterator[None]:
        yield
        assert (world.made(), world.stored()) == ([], [])

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (Fault.IMAGE_PULL, f"cannot pull the image {BUILDER}: .*check build_options' builder_image"),
            (Fault.ADMISSION, "could not get its pod: .*security context constraint.*deploy/openshift/README.md"),
            (Fault.EVICTED, "was evicted from its node: The node was low on resource: memory"),
            (Fault.OUT_OF_MEMORY, "step .* ran out of memory; raise build_options' memory, now 2Gi"),
        ],
    )
    @pytest.mark.parametrize("specific", [False, True], ids=["tekton-before-1.12", "tekton-since-1.12"])
    def test_in_the_cluster(
        self, world: World, bundle: Bundle, base: ImageRef, fault: Fault, said: str, specific: bool
    ) -> None:
        world.tekton.specific_reasons = specific
        world.tekton.fault = fault
        with pytest.raises(KfpEdgeError, match=f"the build \\(TaskRun .* in {NAMESPACE}\\) .*{said}"):
            build(world, bundle, base)

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (Fault.NEVER_STARTS, "Unschedulable: 0/3 nodes are available: 3 Insufficient memory"),
            (Fault.QUOTA, "ExceededResourceQuota: .*exceeded quota"),
        ],
    )
    def test_because_it_never_starts(
        self, world: World, bundle: Bundle, base: ImageRef, fault: Fault, said: str
    ) -> None:
        world.tekton.fault = fault
        with pytest.raises(KfpEdgeError, match=f"did not end within 2 s; it was waiting: {said}.*timeout"):
            build(world, bundle, base, timeout=2)

    def test_because_nobody_takes_it_up(
        self, world: World, bundle: Bundle, base: ImageRef, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tekton, "_GRACE", 1)
        monkeypatch.setattr(world.tekton, "look", lambda: None)
        with pytest.raises(KfpEdgeError, match="no Tekton controller has taken it up"):
            build(world, bundle, base, timeout=1)

    def test_because_its_service_account_is_not_there(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="check that the service account nobody exists"):
            build(world, bundle, base, service_account="nobody")

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ("registry_secret", "no .dockerconfigjson in the Secret nobody"),
            ("ca_bundle", "no .crt in the ConfigMap nobody"),
        ],
    )
    def test_because_what_an_option_names_is_not_there(
        self, world: World, bundle: Bundle, base: ImageRef, option: str, said: str
    ) -> None:
        with pytest.raises(KfpEdgeError, match=said):
            build(world, bundle, base, **{option: "nobody"})

    def test_because_the_registry_refuses_the_login(
        self, world: World, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        write_auth_file(tmp_path / "wrong.json", world.registry.host, "not the password")
        world.give_login(tmp_path / "wrong.json")
        with pytest.raises(KfpEdgeError, match="refused by the registry: .*check build_options' registry_secret"):
            build(world, bundle, base)

    def test_because_the_registry_is_not_trusted(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="does not trust the registry: .*name it in build_options' ca_bundle"):
            build(world, bundle, base, ca_bundle="")

    def test_because_its_link_has_expired(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        client = world.store.client()
        client.put_object(Bucket=BUCKET, Key="old", Body=b"x")
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "old"}, ExpiresIn=1)
        while requests.get(url, timeout=10).status_code == 200:
            pass
        client.delete_object(Bucket=BUCKET, Key="old")
        with (
            as_soon_as(world.fake, "Secret", lambda secret: replace_link(world.fake, secret, url)),
            pytest.raises(KfpEdgeError, match="refused the build context .*HTTP 403.*the link expired"),
        ):
            build(world, bundle, base)

    def test_because_its_context_is_gone(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        def lose(run: dict[str, Any]) -> None:
            key = run["metadata"]["annotations"]["kfp-edge.io/context"].partition(f"{BUCKET}/")[2]
            world.store.client().delete_object(Bucket=BUCKET, Key=key)

        with as_soon_as(world.fake, "TaskRun", lose), pytest.raises(KfpEdgeError, match="no build context .*HTTP 404"):
            build(world, bundle, base)

    def test_because_its_context_was_exchanged(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        def exchange(run: dict[str, Any]) -> None:
            key = run["metadata"]["annotations"]["kfp-edge.io/context"].partition(f"{BUCKET}/")[2]
            world.store.client().put_object(Bucket=BUCKET, Key=key, Body=b"something else")

        with (
            as_soon_as(world.fake, "TaskRun", exchange),
            pytest.raises(KfpEdgeError, match="not the one that was uploaded"),
        ):
            build(world, bundle, base)

    def test_because_somebody_cancels_it(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        def cancel(run: dict[str, Any]) -> None:
            world.fake.update(
                "TaskRun", NAMESPACE, run["metadata"]["name"], lambda now: now["spec"].update(status="TaskRunCancelled")
            )

        with as_soon_as(world.fake, "TaskRun", cancel), pytest.raises(KfpEdgeError, match="was cancelled by someone"):
            build(world, bundle, base)

    def test_because_somebody_deletes_it(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        def remove(run: dict[str, Any]) -> None:
            world.fake.delete("TaskRun", NAMESPACE, run["metadata"]["name"])

        with as_soon_as(world.fake, "TaskRun", remove), pytest.raises(KfpEdgeError, match="deleted while it ran"):
            build(world, bundle, base)


@pytest.mark.parametrize(("status", "said"), [(401, "registry_secret"), (500, "exit code")])
def test_a_registry_that_fails_while_the_image_is_pushed_gets_no_candidate(
    world: World,
    faulty: FaultyRegistry,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    said: str,
) -> None:
    world.use(faulty.server, monkeypatch)
    base = world.push(tiny_base(tmp_path / "base"), "tiny-base")
    faulty.fault = lambda method, _: status if method in ("PATCH", "PUT") else None
    with pytest.raises(KfpEdgeError, match=said):
        build(world, bundle, base)
    faulty.fault = None
    assert tag_of(world, bundle) is None
    assert (world.made(), world.stored()) == ([], [])


class TestABuildThatIsKilled:
    # what has happened when the signal comes: a kind of object, and what is said of it
    POINTS = (
        pytest.param("Secret", lambda secret: "data" in secret or "stringData" in secret, id="link"),
        pytest.param("TaskRun", lambda run: True, id="task-run"),
        pytest.param("TaskRun", lambda run: run.get("status", {}).get("podName"), id="pod"),
        pytest.param(
            "TaskRun", lambda run: any("running" in step for step in run.get("status", {}).get("steps", [])), id="steps"
        ),
    )

    @pytest.mark.parametrize(("kind", "reached"), POINTS)
    def test_softly_leaves_nothing(
        self,
        world: World,
        bundle: Bundle,
        base: ImageRef,
        kind: str,
        reached: Callable[[dict[str, Any]], bool],
    ) -> None:
        changes = world.fake.events(kind)
        process = start(world, bundle, base)
        wait_until(changes, reached)
        process.terminate()
        assert process.wait() == 130
        assert (world.made(), world.stored()) == ([], [])

    def test_softly_cancels_its_task_run(self, world: World, bundle: Bundle, base: ImageRef) -> None:
        changes = world.fake.events("TaskRun")
        process = start(world, bundle, base)
        name = wait_until(changes, lambda run: run.get("status", {}).get("podName"))
        process.terminate()
        process.wait()
        states = [each for each in world.seen() if each["kind"] == "TaskRun" and each["metadata"]["name"] == name]
        assert states[-1]["spec"]["status"] == "TaskRunCancelled"

    @pytest.mark.parametrize(("kind", "reached"), POINTS)
    def test_hard_leaves_only_what_a_sweep_finds(
        self, world: World, bundle: Bundle, base: ImageRef, kind: str, reached: Callable[[dict[str, Any]], bool]
    ) -> None:
        changes = world.fake.events(kind)
        process = start(world, bundle, base)
        wait_until(changes, reached)
        process.kill()
        process.wait()
        left = [each for each in world.made() if each["kind"] in ("TaskRun", "Secret")]
        assert left
        assert all(EXPIRES_ANNOTATION in each["metadata"]["annotations"] for each in left)
        named = {each["metadata"]["annotations"]["kfp-edge.io/context"] for each in left}
        world.remove_all()
        stored = world.stored()
        for uri in stored:
            world.store.client().delete_object(Bucket=BUCKET, Key=uri.partition(f"{BUCKET}/")[2])
        assert set(stored) <= named


def start(world: World, bundle: Bundle, base: ImageRef) -> subprocess.Popen[bytes]:
    """Begin a build in a process of its own."""
    script = f"""
        from pathlib import Path
        from kfp_edge.components.containerize.containerize import containerize
        from kfp_edge.runtime.stage import stage
        with stage("containerize"):
            containerize(
                Path({str(bundle.folder)!r}), {world.registry.url!r}, {str(base)!r}, "", "tekton", {world.options!r}
            )
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until(changes: Iterator[Any], reached: Callable[[dict[str, Any]], object]) -> str:
    """Wait for a state of an object that a build makes from now on, and return its name."""
    for change in changes:
        metadata = change.object["metadata"]
        if "kfp-edge.io/run" in metadata.get("labels", {}) and reached(change.object):
            return str(metadata["name"])
    raise AssertionError("the fake stopped")


class as_soon_as:
    """While the block runs, do something with the first object of a kind that a build makes."""

    def __init__(self, fake: FakeKubernetes, kind: str, do: Callable[[dict[str, Any]], object]) -> None:
        changes = fake.events(kind)

        def work() -> None:
            for change in changes:
                if "kfp-edge.io/run" in change.object["metadata"].get("labels", {}):
                    do(change.object)
                    return

        self._thread = threading.Thread(target=work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def replace_link(fake: FakeKubernetes, secret: dict[str, Any], url: str) -> None:
    def change(now: dict[str, Any]) -> None:
        now.pop("stringData", None)
        now["data"] = {"url": base64.b64encode(url.encode()).decode()}

    fake.update("Secret", NAMESPACE, secret["metadata"]["name"], change)
