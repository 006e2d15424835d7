"""The fakes themselves: what stands in for Tekton, for controllers and for nodes has to do what it stands for."""

import itertools
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import copy_image
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Fault, Image, TektonController
from support.fake_kubernetes.workloads import Fault as NodeFault
from support.fake_kubernetes.workloads import WorkloadController
from support.images import serving_image_that
from support.registry import RegistryServer, registry_server

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group(__name__),
    pytest.mark.root,
]

_SECONDS = 60
BUILDER = "registry.example/buildah@sha256:" + "1" * 64
STAGING = "edge-staging"


def wait_for(look: Callable[[], Any]) -> Any:
    """What `look` returns as soon as it is true."""
    deadline = time.monotonic() + _SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def ended(fake: FakeKubernetes, name: str = "build") -> dict[str, Any]:
    """A TaskRun's status, once it is final."""

    def look() -> dict[str, Any] | None:
        status = fake.store.get("TaskRun", "ds-project", name).get("status", {})
        return status if "completionTime" in status else None

    return wait_for(look)


def succeeded(status: dict[str, Any]) -> tuple[str, str, str]:
    (condition,) = status["conditions"]
    return condition["status"], condition["reason"], condition.get("message", "")


def reason_of(fake: FakeKubernetes) -> str:
    """Why a TaskRun is as it is now."""
    status = fake.store.get("TaskRun", "ds-project", "build").get("status")
    return succeeded(status)[1] if status else ""


def logged(fake: FakeKubernetes, step: str, name: str = "build") -> list[str]:
    return [line.decode() for _, line in fake.log("ds-project", f"{name}-pod", f"step-{step}").lines]


def step(script: str, name: str = "work", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": BUILDER, "script": script} | fields


def taskrun(
    *steps: dict[str, Any], name: str = "build", run: dict[str, Any] | None = None, **task: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"name": name, "namespace": "ds-project"},
        "spec": {"taskSpec": {"steps": list(steps)} | task} | (run or {}),
    }


def secret(name: str, namespace: str = "ds-project", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@pytest.fixture
def tekton() -> TektonController:
    return TektonController({BUILDER: Image(environment={"BUILDAH_ISOLATION": "chroot", "FROM_IMAGE": "yes"})})


@pytest.fixture
def fake(tmp_path: Path, tekton: TektonController) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path, controllers=[tekton]) as made:
        yield made


class TestATaskRun:
    def test_runs_its_steps_in_turn_and_ends_with_its_results(self, fake: FakeKubernetes) -> None:
        fake.apply(
            taskrun(
                step("echo $(params.greeting) | tee /workspace/shared", "first"),
                step("printf %s $(cat /workspace/shared) > $(results.SAID.path)", "second"),
                params=[{"name": "greeting", "default": "hello"}],
                results=[{"name": "SAID"}],
            )
        )
        status = ended(fake)
        assert succeeded(status) == ("True", "Succeeded", "All Steps have completed executing")
        assert status["results"] == [{"name": "SAID", "type": "string", "value": "hello"}]
        assert logged(fake, "first") == ["hello"]
        assert [(one["name"], one["terminated"]["exitCode"]) for one in status["steps"]] == [
            ("first", 0),
            ("second", 0),
        ]

    def test_whose_step_fails_skips_the_others_and_names_the_step(self, fake: FakeKubernetes) -> None:
        fake.apply(taskrun(step("echo wrong >&2; exit 3", "first"), step("echo never", "second")))
        status = ended(fake)
        assert succeeded(status) == ("False", "Failed", '"step-first" exited with code 3: Error')
        assert [one["terminationReason"] for one in status["steps"]] == ["Error", "Skipped"]
        assert logged(fake, "first") == ["wrong"]
        assert logged(fake, "second") == ["Skipping step because a previous step failed"]

    def test_has_the_variables_and_files_of_secrets_and_config_maps(self, fake: FakeKubernetes) -> None:
        fake.apply(secret("login", password="it's $secret"))
        metadata = {"name": "ca", "namespace": "ds-project"}
        fake.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": "the CA"}})
        fake.apply(
            taskrun(
                step(
                    'echo "$PASSWORD $password $FROM_IMAGE"; cat /ca/ca.crt /all/one/password; touch /ca/new || true',
                    env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}],
                    envFrom=[{"secretRef": {"name": "login"}}],
                    volumeMounts=[{"name": "ca", "mountPath": "/ca"}, {"name": "all", "mountPath": "/all"}],
                ),
                volumes=[
                    {"name": "ca", "configMap": {"name": "ca"}},
                    {
                        "name": "all",
                        "projected": {
                            "sources": [
                                {"secret": {"name": "login", "items": [{"key": "password", "path": "one/password"}]}}
                            ]
                        },
                    },
                ],
            )
        )
        ended(fake)
        assert logged(fake, "work") == [
            "it's $secret it's $secret yes",
            "the CAit's $secrettouch: cannot touch '/ca/new': Read-only file system",
        ]

    def test_waits_for_a_volumes_secret_that_comes_later(self, fake: FakeKubernetes) -> None:
        mounts = [{"name": "login", "mountPath": "/login"}]
        volumes = [{"name": "login", "secret": {"secretName": "later"}}]
        fake.apply(taskrun(step("cat /login/password", volumeMounts=mounts), volumes=volumes))
        wait_for(lambda: [one for one in fake.objects("Event") if one["reason"] == "FailedMount"])
        fake.apply(secret("later", password="here"))
        assert succeeded(ended(fake))[0] == "True"
        assert logged(fake, "work") == ["here"]

    def test_with_a_variable_from_a_secret_that_is_not_there_fails_at_once(self, fake: FakeKubernetes) -> None:
        fake.apply(taskrun(step("true", envFrom=[{"secretRef": {"name": "later"}}])))
        status, reason, message = succeeded(ended(fake))
        assert (status, reason) == ("False", "CreateContainerConfigError")
        assert 'secret "later" not found' in message

    def test_is_seen_by_followers_of_its_log_while_it_runs(self, fake: FakeKubernetes) -> None:
        fake.apply(taskrun(step("echo begun; while ! [ -e /workspace/end ]; do sleep 0.02; done")))
        wait_for(lambda: any(one.get("status", {}).get("phase") == "Running" for one in fake.objects("Pod")))
        wait_for(lambda: logged(fake, "work") == ["begun"])
        assert succeeded(fake.objects("TaskRun")[0]["status"])[:2] == ("Unknown", "Running")

    def test_gives_its_arguments_to_its_script(self, fake: FakeKubernetes) -> None:
        variables = [{"name": "NAME", "value": "it's"}]
        fake.apply(taskrun(step('printf "%s\\n" "$@"', args=["--flag=$(NAME) me", "two"], env=variables)))
        assert succeeded(ended(fake))[0] == "True"
        assert logged(fake, "work") == ["--flag=it's me", "two"]

    def test_finds_the_folders_of_its_image_and_cannot_change_them(
        self, fake: FakeKubernetes, tekton: TektonController, tmp_path: Path
    ) -> None:
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / "tool").write_text("a tool\n")
        tekton.images["with tool"] = Image(folders=(folder,))
        fake.apply(taskrun(step(f"cat {folder}/tool; touch {folder}/new", image="with tool")))
        assert succeeded(ended(fake))[0] == "False"
        assert logged(fake, "work")[0] == "a tool"
        assert "Read-only file system" in logged(fake, "work")[1]

    def test_has_the_reasons_of_newer_releases_where_these_are_asked_for(
        self, fake: FakeKubernetes, tekton: TektonController
    ) -> None:
        tekton.specific_reasons = True
        fake.apply(taskrun(step("exit 1")))
        assert succeeded(ended(fake))[1] == "StepFailed"

    def test_leaves_no_trace_on_this_machine(self, fake: FakeKubernetes, tekton: TektonController) -> None:
        mark = uuid.uuid4().hex
        fake.apply(taskrun(step(f"touch /tmp/{mark} /root/{mark} /etc/{mark} /{mark}; ls /usr/bin/buildah")))
        assert succeeded(ended(fake))[0] == "True"
        assert not [folder for folder in ("/tmp", "/root", "/etc", "/") if Path(folder, mark).exists()]

    def test_builds_and_pushes_an_image_with_the_rights_of_a_pod(self, fake: FakeKubernetes, tmp_path: Path) -> None:
        build = """
            mkdir /workspace/context && echo hello > /workspace/context/file
            printf 'FROM scratch\\nCOPY file /\\n' > /workspace/context/Containerfile
            buildah --storage-driver=vfs build --tag=built /workspace/context
            buildah --storage-driver=vfs push --cert-dir=/ca --authfile=/login/.dockerconfigjson \\
                --digestfile=$(results.IMAGE_DIGEST.path) built docker://$(params.image)
        """
        with registry_server(tmp_path / "registry") as registry:
            fake.apply(secret("login", **{".dockerconfigjson": registry.auth_file.read_text()}))
            fake.apply(secret("ca", **{"ca.crt": (registry.cert_dir / "ca.crt").read_text()}))
            fake.apply(
                taskrun(
                    step(
                        build,
                        securityContext={"capabilities": {"add": ["SETFCAP"]}},
                        volumeMounts=[
                            {"name": "login", "mountPath": "/login"},
                            {"name": "ca", "mountPath": "/ca"},
                            {"name": "storage", "mountPath": "/var/lib/containers"},
                        ],
                    ),
                    run={"params": [{"name": "image", "value": f"{registry.host}/edge/built:1"}]},
                    params=[{"name": "image"}],
                    results=[{"name": "IMAGE_DIGEST"}],
                    volumes=[
                        {"name": "login", "secret": {"secretName": "login"}},
                        {"name": "ca", "secret": {"secretName": "ca"}},
                        {"name": "storage", "emptyDir": {}},
                    ],
                )
            )
            status = ended(fake)
            assert succeeded(status)[0] == "True", logged(fake, "work")
            url = f"https://{registry.host}/v2/edge/built/manifests/1"
            headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            login = ("kfp-edge-test", "a secret of the test")
            found = requests.head(url, headers=headers, auth=login, verify=registry.cert_dir / "ca.crt", timeout=5)
            assert status["results"][0]["value"] == found.headers["Docker-Content-Digest"]


class TestATaskRunThatEndsEarly:
    @pytest.fixture
    def running(self, fake: FakeKubernetes, tmp_path: Path) -> str:
        """The name of a program that a step runs in the background."""
        name = f"k{uuid.uuid4().hex[:12]}"
        script = f"cp /usr/bin/sleep /tmp/{name}; /tmp/{name} 600 & echo begun; wait"
        fake.apply(taskrun(step(script), step("true", "after")))
        wait_for(lambda: any(one.get("status", {}).get("phase") == "Running" for one in fake.objects("Pod")))
        wait_for(lambda: logged(fake, "work"))
        return name

    @staticmethod
    def is_running(name: str) -> bool:
        return subprocess.run(["pgrep", name], capture_output=True, check=False).returncode == 0

    def test_because_it_is_cancelled_stops_all_processes_and_loses_its_pod(
        self, fake: FakeKubernetes, running: str
    ) -> None:
        assert self.is_running(running)
        fake.update("TaskRun", "ds-project", "build", lambda one: one["spec"].update(status="TaskRunCancelled"))
        status = ended(fake)
        assert succeeded(status) == ("False", "TaskRunCancelled", 'TaskRun "build" was cancelled. ')
        assert {one["terminated"]["reason"] for one in status["steps"]} == {"TaskRunCancelled"}
        wait_for(lambda: fake.objects("Pod") == [])
        assert not self.is_running(running)

    def test_because_it_is_deleted_stops_all_processes(self, fake: FakeKubernetes, running: str) -> None:
        fake.delete("TaskRun", "ds-project", "build")
        wait_for(lambda: not self.is_running(running))
        assert fake.objects("Pod") == []

    def test_because_it_takes_too_long_names_its_limit(self, fake: FakeKubernetes) -> None:
        fake.apply(taskrun(step("sleep 600"), run={"timeout": "0h0m0.2s"}))
        said = 'TaskRun "build" failed to finish within "0h0m0.2s"'
        assert succeeded(ended(fake)) == ("False", "TaskRunTimeout", said)

    @pytest.mark.parametrize(
        ("fault", "reason", "message"),
        [
            (Fault.IMAGE_PULL, "TaskRunImagePullFailed", "Back-off pulling image"),
            (Fault.ADMISSION, "PodAdmissionFailed", "security context constraint"),
            (Fault.EVICTED, "Failed", "The node was low on resource: memory."),
            (Fault.OUT_OF_MEMORY, "Failed", '"step-work" exited with code 255: OOMKilled'),
        ],
    )
    def test_by_a_fault_has_tektons_reason(
        self, fake: FakeKubernetes, tekton: TektonController, fault: Fault, reason: str, message: str
    ) -> None:
        tekton.fault = fault
        fake.apply(taskrun(step("echo begun; sleep 600")))
        status, found, said = succeeded(ended(fake))
        assert (status, found) == ("False", reason)
        assert message in said

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [(Fault.NEVER_STARTS, "ExceededNodeResources"), (Fault.QUOTA, "ExceededResourceQuota")],
    )
    def test_that_never_starts_says_why_until_it_is_cancelled(
        self, fake: FakeKubernetes, tekton: TektonController, fault: Fault, reason: str
    ) -> None:
        tekton.fault = fault
        fake.apply(taskrun(step("true")))
        wait_for(lambda: reason_of(fake) == reason)
        fake.update("TaskRun", "ds-project", "build", lambda one: one["spec"].update(status="TaskRunCancelled"))
        assert succeeded(ended(fake))[1] == "TaskRunCancelled"

    @pytest.mark.parametrize(
        ("manifest", "reason", "message"),
        [
            (taskrun(step("true"), params=[{"name": "x"}]), "TaskRunValidationFailed", "no default values: [x]"),
            (taskrun(step("echo $(params.x)")), "TaskRunValidationFailed", 'variable in "$(params.x)"'),
            (taskrun(step("true"), run={"serviceAccountName": "nobody"}), "PodCreationFailed", '"nobody" not found'),
            (taskrun(step("true", image="unknown")), "TaskRunImagePullFailed", '"unknown"'),
            (
                taskrun(step("true", securityContext={"privileged": True})),
                "PodAdmissionFailed",
                "privileged: Invalid value: true",
            ),
        ],
    )
    def test_because_it_cannot_run_says_why(
        self, fake: FakeKubernetes, manifest: dict[str, Any], reason: str, message: str
    ) -> None:
        fake.apply(manifest)
        status, found, said = succeeded(ended(fake))
        assert (status, found) == ("False", reason)
        assert message in said

    def test_or_waits_pending_begins_when_it_is_released(self, fake: FakeKubernetes) -> None:
        fake.apply(taskrun(step("true"), run={"status": "TaskRunPending"}))
        wait_for(lambda: reason_of(fake) == "TaskRunPending")
        assert fake.objects("Pod") == []
        fake.update("TaskRun", "ds-project", "build", lambda one: one["spec"].update(status=""))
        assert succeeded(ended(fake))[1] == "Succeeded"


SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = [f"{os.getuid()}:{os.getgid()}", os.environ.get("PASSWORD", ""), str(os.access("/", os.W_OK))]
        body = " ".join(found).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("begun", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
CRASHES = "import sys; sys.exit('the model cannot be loaded')"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as server:
        yield server


def pushed(registry: RegistryServer, program: str) -> str:
    """The reference, in the registry, of an image that runs a Python program."""
    with pytest.MonkeyPatch.context() as patch, serving_image_that(program) as image:
        for name, value in registry.env.items():
            patch.setenv(name, value)
        found = copy_image(image, ImageRepository.parse(f"docker://{registry.host}/edge/server"), uuid.uuid4().hex)
    return str(found).removeprefix("docker://")


@pytest.fixture(scope="module")
def server_image(registry: RegistryServer) -> str:
    return pushed(registry, SERVER)


@pytest.fixture
def nodes(registry: RegistryServer) -> WorkloadController:
    return WorkloadController(registry.cert_dir)


@pytest.fixture
def staging(tmp_path: Path, nodes: WorkloadController, registry: RegistryServer) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path, controllers=[nodes]) as made:
        login = {".dockerconfigjson": registry.auth_file.read_text()}
        made.apply(secret("pull", STAGING, **login) | {"type": "kubernetes.io/dockerconfigjson"})
        yield made


def deployment(image: str, pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    labels = {"app": "candidate"}
    server = {
        "name": "server",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "securityContext": RESTRICTED,
        "resources": {"limits": {"cpu": "1", "memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    }
    spec = {"containers": [server | container], "imagePullSecrets": [{"name": "pull"}]} | (pod or {})
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "candidate", "namespace": STAGING},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def service() -> dict[str, Any]:
    spec = {"selector": {"app": "candidate"}, "ports": [{"port": 80, "targetPort": "http"}]}
    metadata = {"name": "candidate", "namespace": STAGING}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def is_available(fake: FakeKubernetes) -> bool:
    return bool(fake.objects("Deployment")[0].get("status", {}).get("availableReplicas"))


def waiting_reasons(fake: FakeKubernetes) -> list[str]:
    """Why the candidate's container waits, if it does."""
    found = [status for pod in fake.objects("Pod") for status in pod["status"].get("containerStatuses", [])]
    return [one["state"]["waiting"]["reason"] for one in found if "waiting" in one["state"]]


def is_on_this_machine(pod: dict[str, Any]) -> bool:
    """Whether the container or the image of a Pod is here."""
    uid = pod["metadata"]["uid"]
    container = ["podman", "container", "exists", f"kfp-edge-fake-{uid}"]
    image = ["podman", "image", "exists", f"localhost/kfp-edge/fake-node:{uid}"]
    return any(subprocess.run(one, check=False).returncode == 0 for one in (container, image))


class TestADeployment:
    def test_that_is_ready_answers_over_its_service_under_its_limits(
        self, staging: FakeKubernetes, server_image: str
    ) -> None:
        staging.apply(secret("login", STAGING, password="it's a secret"))
        variables = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]
        staging.apply(deployment(server_image, env=variables))
        staging.apply(service())
        wait_for(lambda: is_available(staging))
        address = wait_for(lambda: staging.objects("Service")[0]["spec"].get("clusterIP"))
        assert address.startswith("127.77.")
        wait_for(lambda: can_connect(address))
        with requests.Session() as session:
            session.trust_env = False
            found = session.get(f"http://{address}/", timeout=5).text
        assert found == "1000680000:0 it's a secret False"
        (pod,) = staging.objects("Pod")
        log = staging.log(STAGING, pod["metadata"]["name"], "server").lines
        assert log[0][1] == b"begun"

    def test_that_is_deleted_leaves_nothing_and_its_service_refuses(
        self, staging: FakeKubernetes, server_image: str
    ) -> None:
        staging.apply(deployment(server_image))
        staging.apply(service())
        wait_for(lambda: is_available(staging))
        address = staging.objects("Service")[0]["spec"]["clusterIP"]
        wait_for(lambda: can_connect(address))
        (pod,) = staging.objects("Pod")
        assert is_on_this_machine(pod)
        staging.delete("Deployment", STAGING, "candidate")
        assert staging.objects("Pod") == []
        wait_for(lambda: not can_connect(address))
        wait_for(lambda: not is_on_this_machine(pod))

    def test_that_is_scaled_to_nothing_tells_how_its_container_ended(
        self, staging: FakeKubernetes, server_image: str
    ) -> None:
        staging.apply(deployment(server_image))
        wait_for(lambda: is_available(staging))
        changes = staging.events("Pod")
        staging.update("Deployment", STAGING, "candidate", lambda one: one["spec"].update(replicas=0))
        seen = list(itertools.takewhile(lambda change: change.type != "DELETED", changes))
        (status,) = seen[-1].object["status"]["containerStatuses"]
        assert status["state"]["terminated"]["exitCode"] == 0

    def test_that_crashes_backs_off_with_its_exit_code(self, staging: FakeKubernetes, registry: RegistryServer) -> None:
        staging.apply(deployment(pushed(registry, CRASHES)))
        wait_for(lambda: "CrashLoopBackOff" in waiting_reasons(staging))
        (pod,) = staging.objects("Pod")
        (status,) = pod["status"]["containerStatuses"]
        assert status["lastState"]["terminated"]["exitCode"] == 1
        assert staging.log(STAGING, pod["metadata"]["name"], "server").lines[0][1] == b"the model cannot be loaded"

    def test_whose_image_is_not_there_backs_off(self, staging: FakeKubernetes, registry: RegistryServer) -> None:
        staging.apply(deployment(f"{registry.host}/edge/nothing@sha256:{'0' * 64}"))
        wait_for(lambda: "ImagePullBackOff" in waiting_reasons(staging))
        said = [one["message"] for one in staging.objects("Event") if one["reason"] == "Failed"]
        assert "manifest unknown" in said[0]

    def test_without_the_pull_secret_cannot_be_pulled(self, staging: FakeKubernetes, server_image: str) -> None:
        staging.apply(deployment(server_image, {"imagePullSecrets": []}))
        wait_for(lambda: "ErrImagePull" in waiting_reasons(staging))
        said = [one["message"] for one in staging.objects("Event") if one["reason"] == "Failed"]
        assert "authentication required" in said[0]

    def test_that_fits_no_node_stays_pending(
        self, staging: FakeKubernetes, nodes: WorkloadController, server_image: str
    ) -> None:
        nodes.fault = NodeFault.UNSCHEDULABLE
        staging.apply(deployment(server_image))
        pods = wait_for(lambda: [pod for pod in staging.objects("Pod") if "conditions" in pod["status"]])
        assert pods[0]["status"]["conditions"][0]["reason"] == "Unschedulable"

    def test_beyond_the_quota_has_no_pod_and_says_so(self, staging: FakeKubernetes, server_image: str) -> None:
        metadata, spec = {"name": "staging", "namespace": STAGING}, {"hard": {"limits.memory": "128Mi"}}
        staging.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
        staging.apply(deployment(server_image))
        assert "exceeded quota: staging" in wait_for(lambda: failure(staging))
        assert staging.objects("Pod") == []

    def test_that_is_not_restricted_has_no_pod_and_says_what_is_missing(
        self, staging: FakeKubernetes, server_image: str
    ) -> None:
        staging.apply(deployment(server_image, securityContext={}))
        assert "allowPrivilegeEscalation != false" in wait_for(lambda: failure(staging))

    def test_whose_probe_fails_never_becomes_available(
        self, staging: FakeKubernetes, nodes: WorkloadController, server_image: str
    ) -> None:
        nodes.fault = NodeFault.NEVER_READY
        staging.apply(deployment(server_image))
        wait_for(lambda: [one for one in staging.objects("Event") if one["reason"] == "Unhealthy"])
        assert not is_available(staging)
        assert staging.objects("Pod")[0]["status"]["phase"] == "Running"

    def test_that_fails_its_liveness_probe_is_started_again(self, staging: FakeKubernetes, server_image: str) -> None:
        probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
        staging.apply(deployment(server_image, livenessProbe=probe))
        wait_for(lambda: [one for one in staging.objects("Event") if one["reason"] == "Killing"])
        wait_for(lambda: staging.objects("Pod")[0]["status"]["containerStatuses"][0]["restartCount"])


def failure(fake: FakeKubernetes) -> str:
    """Why a Deployment has too few Pods."""
    conditions = fake.objects("Deployment")[0].get("status", {}).get("conditions", [])
    return next((one["message"] for one in conditions if one["type"] == "ReplicaFailure"), "")


def can_connect(address: str) -> bool:
    try:
        socket.create_connection((address, 80), timeout=5).close()
    except ConnectionError:  # a reset while the listener closes
        return False
    return True


def test_a_node_that_stops_takes_its_containers_along(
    tmp_path: Path, nodes: WorkloadController, registry: RegistryServer, server_image: str
) -> None:
    with FakeKubernetes(tmp_path, controllers=[nodes]) as fake:
        fake.apply(secret("pull", STAGING, **{".dockerconfigjson": registry.auth_file.read_text()}))
        fake.apply(deployment(server_image))
        wait_for(lambda: is_available(fake))
        (pod,) = fake.objects("Pod")
    assert not is_on_this_machine(pod)
