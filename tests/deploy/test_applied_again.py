"""What is applied is what the API server stores: a second `oc apply` of the same manifests reports no change."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from yaml import safe_load_all

from support.fake_kubernetes.store import as_stored
from support.manifests import KSERVE, OPENSHIFT
from support.paths import ROOT

TEMPLATE = ROOT / "components/gitops_commit/template"
MANIFESTS = sorted(
    path
    for folder in (OPENSHIFT, KSERVE, TEMPLATE)
    for path in folder.rglob("*.yaml")
    if path.name not in ("kustomization.yaml", "parameters.yaml", "names.yaml")
)
#: Fields in which an empty mapping has a meaning, and which the API server keeps.
KEPT_EMPTY = {"podSelector", "namespaceSelector", "emptyDir"}
QUANTITIES = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "sizeLimit"}


def objects(path: Path) -> list[dict[str, Any]]:
    return list(safe_load_all(path.read_text()))


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every field of an object, at any depth, with its name; not the items of lists."""
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from fields(part)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_field_is_dropped_because_it_is_empty(path: Path) -> None:
    for each in objects(path):
        assert as_stored(each) == each
        assert [name for name, value in fields(each) if value in (None, "", [])] == []
        assert [name for name, value in fields(each) if value == {} and name not in KEPT_EMPTY] == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_quantities_are_written_as_the_server_writes_them(path: Path) -> None:
    for each in objects(path):
        for name, value in fields(each):
            if name in QUANTITIES and isinstance(value, str | int):
                number, unit = re.fullmatch(r"([1-9]\d*)(m|Ki|Mi|Gi|)", str(value)).groups()  # type: ignore[union-attr]
                assert isinstance(value, str) or name == "cpu"
                assert int(number) % {"m": 1000, "Ki": 1024, "Mi": 1024}.get(unit, int(number) + 1), value


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_ports_of_a_network_policy_name_their_protocol(path: Path) -> None:
    """The server adds TCP, and a list is compared as a whole."""
    for each in objects(path):
        if each["kind"] == "NetworkPolicy":
            rules = [*each["spec"].get("ingress", ()), *each["spec"].get("egress", ())]
            assert all("protocol" in port for rule in rules for port in rule.get("ports", ()))


def test_a_list_without_items_is_dropped_by_the_server() -> None:
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}, "egress": []}}
    assert as_stored(policy)["spec"] == {"podSelector": {}}
