"""The public Python API is the names listed here; docs/python-api.md names them, and its examples run."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest
import yaml

from kfp_edge import errors, local
from kfp_edge.client.runs import observed_run
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes
from support.paths import ROOT

PAGE = (ROOT / "docs" / "python-api.md").read_text()

PUBLIC_NAMES = {
    "kfp_edge": {"__version__", "client", "components", "errors", "local", "pipelines", "rules", "spec"},
    "kfp_edge.client": {
        "Client",
        "Endpoint",
        "Run",
        "RunResult",
        "Schedule",
        "StageReport",
        "StageState",
        "diagnose_cluster",
    },
    "kfp_edge.local": {"LocalRun", "RunFailedError", "RunProgress", "StageReport", "StageRun", "run"},
    "kfp_edge.rules": {"RULES", "LintReport", "Problem", "Rule", "lint_file", "lint_text", "to_sarif"},
    "kfp_edge.spec": {
        "CompiledPipeline",
        "Finding",
        "PipelineInfo",
        "PipelineLike",
        "Stage",
        "ValidationReport",
        "compile_to_manifests",
        "compile_to_yaml",
        "load_pipeline",
        "pipeline_names",
        "validate_file",
        "validate_text",
    },
    "kfp_edge.errors": {
        "ApiError",
        "ClusterError",
        "CommandError",
        "DataError",
        "ForgeError",
        "GitError",
        "ImageError",
        "KfpApiError",
        "KfpEdgeError",
        "KfpEdgeWarning",
        "MetricsError",
        "ModelError",
        "ParameterError",
        "PipelineError",
        "RequirementsNotMetError",
        "RunTimeoutError",
        "StorageError",
        "UnfinishedRunsError",
    },
    "kfp_edge.pipelines": {
        "delivery",
        "drift",
        "edge_mlops",
        "fleet_training",
        "promote",
        "retraining",
        "rollback",
        "training",
    },
    "kfp_edge.components": {
        "claim_retraining",
        "clean_up",
        "compare_models",
        "containerize",
        "drift",
        "export",
        "fetch_champion",
        "fetch_model",
        "fleet_summary",
        "gitops_commit",
        "ingest",
        "preflight",
        "promote",
        "release",
        "rollback",
        "staging_test",
        "train",
        "verify",
    },
}
#: The kind of each error: the class by which a caller can catch it, besides its own.
BASES = dict.fromkeys(PUBLIC_NAMES["kfp_edge.errors"] - {"KfpEdgeError"}, "KfpEdgeError")
BASES |= {"KfpEdgeError": "Exception", "ClusterError": "ApiError", "ForgeError": "ApiError", "KfpApiError": "ApiError"}
BASES["MetricsError"] = "ApiError"
BASES["KfpEdgeWarning"] = "UserWarning"


@pytest.mark.parametrize("module", PUBLIC_NAMES)
def test_a_module_exports_the_listed_names_and_no_others(module):
    exported = importlib.import_module(module).__all__
    assert set(exported) == PUBLIC_NAMES[module]
    assert len(exported) == len(set(exported))


@pytest.mark.parametrize("module", ["kfp_edge", "kfp_edge.client", "kfp_edge.local", "kfp_edge.rules", "kfp_edge.spec"])
def test_every_exported_name_exists(module):
    imported = importlib.import_module(module)
    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []


@pytest.mark.parametrize("module", ["kfp_edge", "kfp_edge.spec"])
def test_any_other_name_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match="has no attribute 'compile_text'"):
        importlib.import_module(module).compile_text  # noqa: B018  the access is the test


@pytest.mark.parametrize("stage", sorted(PUBLIC_NAMES["kfp_edge.components"]))
def test_every_component_is_imported_by_its_name(stage):
    module = importlib.import_module(f"kfp_edge.components.{stage}.component")
    assert getattr(module, stage).name == stage.replace("_", "-")


@pytest.mark.parametrize("pipeline", sorted(PUBLIC_NAMES["kfp_edge.pipelines"]))
def test_every_pipeline_is_imported_by_its_name(pipeline):
    module = importlib.import_module(f"kfp_edge.pipelines.{pipeline}")
    assert getattr(module, pipeline).name == pipeline.replace("_", "-")


def test_every_public_function_and_class_has_a_docstring():
    modules = {name: importlib.import_module(name) for name in PUBLIC_NAMES}
    objects = {
        f"{name}.{each}": getattr(module, each, None) for name, module in modules.items() for each in module.__all__
    }
    code = {name: value for name, value in objects.items() if inspect.isfunction(value) or inspect.isclass(value)}
    assert [name for name, value in code.items() if not inspect.getdoc(value)] == []


@pytest.mark.parametrize("name", sorted(BASES))
def test_an_error_can_be_caught_by_its_kind(name):
    assert getattr(errors, name).__bases__[0].__name__ == BASES[name]


def test_every_error_that_is_raised_has_a_kind():
    """Nothing raises a plain KfpEdgeError, and an error that a module defines for itself is a subclass of a kind."""
    sources = [path for folder in ("kfp_edge", "components", "pipelines") for path in (ROOT / folder).rglob("*.py")]
    without_kind = re.compile(r"(?<!class )\bKfpEdgeError\(|^class \w+\(KfpEdgeError\)", re.MULTILINE)
    defining = {ROOT / "kfp_edge/errors.py", ROOT / "kfp_edge/local/api.py"}
    assert {path for path in sources if without_kind.search(path.read_text())} == defining


def test_the_version_is_imported_without_any_dependency():
    code = (
        "import sys; before = set(sys.modules); from kfp_edge import __version__; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['kfp_edge']"


def test_the_page_names_everything_that_is_public():
    names = {
        name
        for module in PUBLIC_NAMES
        if module not in ("kfp_edge.components", "kfp_edge.pipelines")
        for name in PUBLIC_NAMES[module]
    }
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", PAGE)) == []


#: The keys of a data connection.
CONNECTION = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_S3_BUCKET", "AWS_DEFAULT_REGION")


def namespaced(kind, name, **content):
    """Return an object of the project of the examples."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ds-project"}, **content}


@pytest.mark.slow
def test_the_examples_on_the_page_run(tmp_path, monkeypatch, capsys):
    """In one namespace and one folder, against a cluster and a pipeline server that are fakes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(observed_run, "POLL_SECONDS", 0.0)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for folder in ("kfp", "kubernetes"):
        (tmp_path / folder).mkdir()
    application = yaml.safe_load((ROOT / "deploy/openshift/dspa/dspa.yaml").read_text())
    application["metadata"]["namespace"] = "ds-project"
    namespace = {"__name__": "example"}
    with FakeKubernetes(tmp_path / "kubernetes") as cluster, FakeKfp(tmp_path / "kfp") as server:
        cluster.apply(namespaced("ConfigMap", "kfp-edge-images", data={"runtime": "example.com/runtime:1"}))
        cluster.apply(namespaced("Secret", "kfp-edge-data", stringData=dict.fromkeys(CONNECTION, "value")))
        addresses = {"externalUrl": server.url, "url": server.url}
        cluster.apply(application | {"status": {"components": {"apiServer": addresses}}})
        for name, value in {**cluster.environ(), "KFP_EDGE_TOKEN": server.token}.items():
            monkeypatch.setenv(name, value)
        for number, example in enumerate(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)):
            path = tmp_path / f"example_{number}.py"  # KFP reads a component's source from its file
            path.write_text(example)
            exec(compile(example, path, "exec"), namespace)
    printed = capsys.readouterr().out
    assert "succeeded" in printed
    assert "the pipeline training has no parameter 'gate'; did you mean gates?" in printed


def test_a_failed_run_is_caught_by_its_kind_with_what_it_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(local.RunFailedError, match="preflight: classification needs labels") as failed:
        local.run("training", {"data": "nothing.csv"})
    assert failed.value.run.status == "failed"
