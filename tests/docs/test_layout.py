"""The house keeps its shape: nothing is forgotten in a wheel, and imports run one way."""

import ast
import os
import re
import tomllib
from pathlib import Path

import pytest

from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STAGES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_every_package_is_in_the_wheel():
    setuptools = PROJECT["tool"]["setuptools"]
    folders = {name: ROOT / folder for name, folder in setuptools["package-dir"].items()}
    found = set()
    for name, folder in folders.items():
        for module in folder.rglob("__init__.py"):
            found.add(".".join([name, *module.parent.relative_to(folder).parts]))
    assert found == set(setuptools["packages"])


def test_the_lock_pins_what_a_backend_of_2_16_understands():
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in ("kfp", "kfp-kubernetes", "kfp-pipeline-spec", "kfp-server-api"):
        assert pins[name].startswith("2.16."), name


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_another_stage_or_a_pipeline(stage):
    for path in (ROOT / "components" / stage).glob("*.py"):
        foreign = [
            name
            for name in _imports(path)
            if name.startswith(("kfp_edge.components.", "kfp_edge.pipelines"))
            and not name.startswith(f"kfp_edge.components.{stage}")
        ]
        assert foreign == [], path


def test_what_stages_share_knows_no_stage():
    for path in (ROOT / "kfp_edge").rglob("*.py"):
        assert not [name for name in _imports(path) if name.startswith(("kfp_edge.components", "kfp_edge.pipelines"))]


def test_the_server_imports_nothing_of_the_rest():
    for path in (ROOT / "serving" / "kfp_edge_serving").rglob("*.py"):
        assert not [name for name in _imports(path) if re.match(r"kfp_edge(\.|$)|kfp(\.|$)", name)], path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_readme_and_is_tested(stage):
    assert (ROOT / "components" / stage / "README.md").exists()
    assert list((ROOT / "tests/components" / stage).glob("test_*.py"))


@pytest.mark.xdist_group("house")
def test_tests_that_share_a_machine_stay_with_one_worker(request):
    """Groups keep tests that use podman's storage after one another; without workers there is nothing to keep."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@house")
