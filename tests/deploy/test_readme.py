"""The steps of the README that install on a cluster name what exists, and check what the manifests grant."""

import re

import pytest

from support.manifests import OPENSHIFT, rendered
from support.paths import ROOT
from support.rbac import rights

README = OPENSHIFT / "README.md"
RUNNER = "system:serviceaccount:ds-project:pipeline-runner-dspa"
COMMANDS = [line.strip() for line in README.read_text().splitlines() if re.match(" {3}(oc|make) ", line)]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("oc auth can-i ")])
def test_a_permission_is_granted_as_the_readme_says(command: str) -> None:
    command, _, answer = command.replace("$RUNNER", RUNNER).partition("#")
    match = re.fullmatch(r"oc auth can-i (\S+) (\S+) -n (\S+) --as (\S+)", command.strip())
    assert match is not None
    verb, resource, namespace, user = match.groups()
    granted = {
        (right.user, right.namespace, right.verb, right.resource.partition(".")[0])
        for right in rights(rendered(OPENSHIFT / "overlays/example"))
    }
    asked = (user, namespace, verb, re.split("[./]", resource)[0])
    assert (asked in granted) is (answer.strip() != "no")


def test_every_file_that_is_applied_is_a_template_or_a_copy_that_the_readme_makes() -> None:
    names = [name for command in COMMANDS for name in re.findall(r"-f (\S+\.yaml)", command)]
    copies = re.findall(r"copy\s+of\s+`registry.yaml`\s+named\s+`(\S+)`", README.read_text())
    assert names
    assert [name for name in names if name not in copies and not (OPENSHIFT / "secrets" / name).exists()] == []


def test_images_are_made_by_a_verb_of_the_makefile_with_its_variable() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (command,) = [command for command in COMMANDS if command.startswith("make ")]
    _, verb, variable = command.split()
    assert f"\n{verb}:" in makefile
    assert f"$({variable.partition('=')[0]})" in makefile


def test_the_project_exists_before_its_objects_are_applied() -> None:
    """It is no manifest, since `oc delete -k` would delete it; without it, only what is in other namespaces is made."""
    objects = rendered(OPENSHIFT / "overlays/example")
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"} == {"edge-staging"}
    applied = [command for command in COMMANDS if " apply -k " in command]
    assert applied == ["oc get namespace ds-project && oc apply -k overlays/mine"]
    assert COMMANDS.index("oc create namespace ds-project") < COMMANDS.index(applied[0])
