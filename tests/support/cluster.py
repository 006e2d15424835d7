"""Objects for the tests of `kfp_edge.kubernetes`."""

from typing import Any

import pytest

from support.fake_kubernetes import FakeKubernetes

RUNNER = "system:serviceaccount:ds-project:pipeline-runner-dspa"


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def config_map(name: str = "one", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def set_data(fake: FakeKubernetes, **data: str) -> None:
    """Change the data of the ConfigMap `one`."""
    fake.update("ConfigMap", "ds-project", "one", lambda resource: resource.update(data=data))


def status_codes(fake: FakeKubernetes, verb: str) -> list[int]:
    """Return the status of every request with a verb, in the order of the requests."""
    return [call.status for call in fake.requests if call.verb == verb]


def pipeline_application(inside: str = "", outside: str = "", name: str = "dspa") -> dict[str, Any]:
    """Return a DataSciencePipelinesApplication whose API server has these addresses."""
    status = {"components": {"apiServer": {"url": inside, "externalUrl": outside}}} if inside or outside else {}
    return {
        "apiVersion": "datasciencepipelinesapplications.opendatahub.io/v1",
        "kind": "DataSciencePipelinesApplication",
        "metadata": {"name": name, "namespace": "ds-project"},
        "spec": {"objectStorage": {}},
        "status": status,
    }
