"""The image of the stages is pulled with a Secret of the service account where the default has no login for it."""

import base64
import json
from typing import Any

import pytest
from kfp import dsl, kubernetes

from kfp_edge.client import Client, diagnose_cluster
from support.clients import only
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")

INSIDE = "image-registry.openshift-image-registry.svc:5000"
OF_THE_ACCOUNT = "pipeline-runner-dspa-dockercfg-x7k2p"


@dsl.component(base_image=f"{INSIDE}/ds-project/runtime:1", install_kfp_package=False)
def inside() -> str:
    return ""


@dsl.component(base_image="quay.io/plant/runtime:1", install_kfp_package=False)
def outside() -> str:
    return ""


@dsl.pipeline(name="pulls-inside")
def pulls_inside(image_pull_secret: str = "kfp-edge-registry"):
    """Run one task in an image of OpenShift's own registry."""
    kubernetes.set_image_pull_secrets(inside(), [image_pull_secret])


@dsl.pipeline(name="pulls-both")
def pulls_both(image_pull_secret: str = "kfp-edge-registry"):
    """Run tasks in images of two registries."""
    kubernetes.set_image_pull_secrets(inside(), [image_pull_secret])
    kubernetes.set_image_pull_secrets(outside(), [image_pull_secret])


def login(name: str, *registries: str, legacy: bool = False) -> dict[str, Any]:
    logins = {registry: {"auth": "dTpw"} for registry in registries}
    content, key = (logins, ".dockercfg") if legacy else ({"auths": logins}, ".dockerconfigjson")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "ds-project"},
        "type": f"kubernetes.io/{key[1:]}",
        "data": {key: base64.b64encode(json.dumps(content).encode()).decode()},
    }


@pytest.fixture
def account(cluster: FakeKubernetes) -> FakeKubernetes:
    """The cluster with the service account of runs, as OpenShift makes it, and a client that may read Secrets."""
    cluster.apply(login(OF_THE_ACCOUNT, INSIDE, "172.30.1.2:5000", legacy=True))
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "pipeline-runner-dspa", "namespace": "ds-project"},
            "imagePullSecrets": [{"name": OF_THE_ACCOUNT}],
        }
    )
    return cluster


@pytest.fixture
def readable(account: FakeKubernetes) -> FakeKubernetes:
    """A client that may read Secrets, as everybody who may edit a project."""
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    account.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader", "namespace": "ds-project"},
            "rules": rules,
        }
    )
    account.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader", "namespace": "ds-project"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "kfp-edge-client", "namespace": "ds-project"}],
        }
    )
    return account


def parameters(server: FakeKfp) -> Any:
    return only(server.store.runs).get("runtime_config", {}).get("parameters", {})


def test_the_login_of_the_service_account_is_used_where_there_is_no_other(
    server: FakeKfp, readable: FakeKubernetes
) -> None:
    Client.connect().submit(pulls_inside)
    assert parameters(server) == {"image_pull_secret": OF_THE_ACCOUNT}


@pytest.mark.filterwarnings("ignore::kfp_edge.errors.KfpEdgeWarning")
def test_the_login_of_the_service_account_is_used_where_the_default_is_for_another_registry(
    server: FakeKfp, readable: FakeKubernetes
) -> None:
    readable.apply(login("kfp-edge-registry", "quay.io"))
    Client.connect().submit(pulls_inside)
    assert parameters(server) == {"image_pull_secret": OF_THE_ACCOUNT}


def test_the_default_stays_where_it_has_a_login(server: FakeKfp, readable: FakeKubernetes) -> None:
    readable.apply(login("kfp-edge-registry", INSIDE))
    Client.connect().submit(pulls_inside)
    assert parameters(server) == {}


@pytest.mark.filterwarnings("ignore::kfp_edge.errors.KfpEdgeWarning")
def test_what_the_user_names_stays(server: FakeKfp, readable: FakeKubernetes) -> None:
    Client.connect().submit(pulls_inside, {"image_pull_secret": "mine"})
    assert parameters(server) == {"image_pull_secret": "mine"}


@pytest.mark.filterwarnings("ignore::kfp_edge.errors.KfpEdgeWarning")
def test_the_default_stays_where_no_secret_has_all_logins(server: FakeKfp, readable: FakeKubernetes) -> None:
    Client.connect().submit(pulls_both)
    assert parameters(server) == {}


@pytest.mark.filterwarnings("ignore::kfp_edge.errors.KfpEdgeWarning")
def test_the_default_stays_where_secrets_may_not_be_read(server: FakeKfp, account: FakeKubernetes) -> None:
    Client.connect().submit(pulls_inside)
    assert parameters(server) == {}


def test_a_schedule_gets_the_same(server: FakeKfp, readable: FakeKubernetes) -> None:
    Client.connect().schedule("nightly", pulls_inside, every=3600)
    (schedule,) = server.store.recurring_runs.values()
    assert schedule["runtime_config"]["parameters"] == {"image_pull_secret": OF_THE_ACCOUNT}


def test_doctor_checks_the_one_that_submit_takes(readable: FakeKubernetes) -> None:
    diagnosis = next(each for each in diagnose_cluster(pulls_inside) if "pull secret" in each.name)
    assert (diagnosis.name, diagnosis.status) == (f"image pull secret {OF_THE_ACCOUNT}", "ok")
