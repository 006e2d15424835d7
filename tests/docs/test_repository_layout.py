"""The layout: every package is in the wheel, and packages import each other along one graph without circles."""

import ast
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STAGES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))

#: The packages of `kfp_edge` and the packages that each imports. A change here is a change of the design: an import
#: that only a type checker sees (`if TYPE_CHECKING`) does not count, one inside a function does.
GRAPH = {
    "errors": set(),
    "diagnosis": set(),
    "suggestions": set(),
    "wording": set(),
    "cron": {"errors"},
    "storage": {"errors"},
    "runtime": {"errors", "storage"},
    "git": {"errors", "runtime"},
    "prometheus": {"errors", "git", "storage"},
    "gitops": {"errors", "git", "suggestions"},
    "fleet": {
        "cron",
        "errors",
        "forges",
        "git",
        "gitops",
        "images",
        "metrics",
        "ml",
        "prometheus",
        "reports",
        "runtime",
        "storage",
        "suggestions",
        "wording",
    },
    "forges": {"errors", "git", "runtime", "storage", "suggestions"},
    "mirror": {"errors", "fleet", "git", "gitops", "images", "storage"},
    "kubernetes": {"errors", "suggestions"},
    "images": {"errors", "runtime", "spec", "storage", "suggestions"},
    "ml": {"errors", "storage"},
    "reports": {"storage"},
    "metrics": {"errors", "ml", "reports", "suggestions", "wording"},
    "estimators": {"errors", "ml", "suggestions", "wording"},
    "onnx_graph": {"errors", "ml"},
    "tasks": {"errors", "estimators", "metrics", "ml", "onnx_graph", "reports", "suggestions", "wording"},
    "model_selection": {"errors", "estimators", "metrics", "ml", "suggestions", "tasks", "wording"},
    "model_report": {"metrics", "ml", "model_selection", "reports", "tasks"},
    "drift": {"errors", "ml", "prometheus", "reports", "storage", "suggestions", "wording"},
    "retraining": {"errors", "fleet", "metrics", "ml", "storage", "tasks"},
    "spec": {"errors", "kubernetes", "runtime", "storage", "suggestions"},
    "prerequisites": {"kubernetes", "diagnosis", "errors", "spec"},
    # neighbours: of these three, only the client imports another one, which finds secrets before an upload
    "rules": {"errors", "spec", "storage"},
    "client": {
        "cron",
        "kubernetes",
        "diagnosis",
        "errors",
        "metrics",
        "prerequisites",
        "reports",
        "rules",
        "runtime",
        "spec",
        "storage",
        "wording",
    },
    "local": {"diagnosis", "errors", "images", "reports", "runtime", "spec", "storage"},
    "observability": {
        "drift",
        "errors",
        "fleet",
        "gitops",
        "local",
        "prometheus",
        "reports",
        "runtime",
        "storage",
        "suggestions",
        "wording",
    },
    "cli": {
        "client",
        "errors",
        "fleet",
        "forges",
        "git",
        "gitops",
        "images",
        "local",
        "metrics",
        "mirror",
        "ml",
        "observability",
        "prometheus",
        "rules",
        "runtime",
        "spec",
        "storage",
        "suggestions",
        "wording",
    },
    "components": {
        "drift",
        "forges",
        "kubernetes",
        "errors",
        "estimators",
        "fleet",
        "git",
        "gitops",
        "images",
        "metrics",
        "ml",
        "model_report",
        "model_selection",
        "onnx_graph",
        "prerequisites",
        "prometheus",
        "reports",
        "retraining",
        "runtime",
        "storage",
        "suggestions",
        "tasks",
        "wording",
    },
    "pipelines": {"kubernetes", "components", "runtime", "spec"},
}


def _type_checking_nodes(tree: ast.Module) -> set[ast.AST]:
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {node for block in blocks for statement in block.body for node in ast.walk(statement)}


def _imports(path: Path) -> set[str]:
    """Return the modules that a file imports when it runs, also those imported inside its functions."""
    tree = ast.parse(path.read_text())
    ignored = _type_checking_nodes(tree)
    nodes = [node for node in ast.walk(tree) if node not in ignored]
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
            modules |= {f"kfp_edge.{name.name}" for name in node.names if node.module == "kfp_edge"}
    return modules


def _package_imports() -> dict[str, set[str]]:
    """Return the imports between the packages of kfp_edge."""
    sources = {path: path.relative_to(ROOT / "kfp_edge").parts[0] for path in (ROOT / "kfp_edge").rglob("*.py")}
    sources |= {path: name for name in ("components", "pipelines") for path in (ROOT / name).rglob("*.py")}
    graph: dict[str, set[str]] = {name.removesuffix(".py"): set() for name in sources.values()}
    for path, name in sources.items():
        modules = (module.split(".") for module in _imports(path) if module.startswith("kfp_edge."))
        graph[name.removesuffix(".py")] |= {parts[1] for parts in modules} - {name, "__version__"}
    del graph["__init__"]
    return graph


def test_packages_import_each_other_along_the_graph_only():
    assert _package_imports() == GRAPH


def test_the_graph_has_no_circle():
    graphlib.TopologicalSorter(GRAPH).prepare()


def test_the_top_level_has_nothing_that_was_left_behind():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {"benchmarks", "components", "compiled", "deploy", "docs", "findings", "kfp_edge", "notebooks"}
    folders |= {"pipelines", "scripts", "serving", "tests", ".ci", ".github"}
    files = {"CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", "requirements.lock"}
    files |= {".gitignore", ".proselintrc.json"}
    assert {name.partition("/")[0] for name in listed.splitlines()} == folders | files


def test_every_package_is_in_the_wheel():
    setuptools = PROJECT["tool"]["setuptools"]
    folders = {name: ROOT / folder for name, folder in setuptools["package-dir"].items()}
    packages = set()
    for name, folder in folders.items():
        for module in folder.rglob("__init__.py"):
            packages.add(".".join([name, *module.parent.relative_to(folder).parts]))
    assert packages == set(setuptools["packages"])


def test_the_lock_file_pins_versions_that_a_2_16_backend_supports():
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in ("kfp", "kfp-kubernetes", "kfp-pipeline-spec", "kfp-server-api"):
        assert pins[name].startswith("2.16."), name


#: Checks the parameters of all stages by the rules of each.
PREFLIGHT = "preflight"


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != PREFLIGHT])
def test_no_stage_imports_another_stage_or_a_pipeline(stage):
    for path in (ROOT / "components" / stage).glob("*.py"):
        foreign = [
            name
            for name in _imports(path)
            if name.startswith(("kfp_edge.components.", "kfp_edge.pipelines"))
            and not name.startswith(f"kfp_edge.components.{stage}")
        ]
        assert foreign == [], path


def test_shared_packages_import_no_stage_and_no_pipeline():
    for path in (ROOT / "kfp_edge").rglob("*.py"):
        assert not [name for name in _imports(path) if name.startswith(("kfp_edge.components", "kfp_edge.pipelines"))]


def test_the_server_imports_nothing_outside_its_distribution():
    for path in (ROOT / "serving" / "kfp_edge_serving").rglob("*.py"):
        assert not [name for name in _imports(path) if re.match(r"kfp_edge(\.|$)|kfp(\.|$)", name)], path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_readme_and_is_tested(stage):
    assert (ROOT / "components" / stage / "README.md").exists()
    assert list((ROOT / "tests/components" / stage).glob("test_*.py"))


def _pytest(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KFP_EDGE_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "--quiet", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_tests_that_need_a_cluster_run_only_if_they_are_named():
    assert "tests/cluster/" not in _pytest("--collect-only", "tests", "--ignore-glob=tests/[!c]*").stdout
    assert "tests/cluster/test_edge_mlops.py::" in _pytest("--collect-only", "tests/cluster").stdout


def test_without_settings_they_end_with_one_sentence():
    ended = _pytest("tests/cluster")
    assert ended.returncode == 2
    assert "set KFP_EDGE_TEST_NAMESPACE; tests/cluster/README.md says what it is." in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.xdist_group("layout")
def test_tests_of_one_group_run_on_one_worker(request):
    """Groups share what is expensive to start, such as a cluster; this version of xdist keeps them together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@layout")
