"""Nothing is read from ML Metadata: it goes after KFP 2.17, and its state of a run's root misleads."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import client_of, set_results, submit_small
from support.fake_kfp import FakeKfp
from support.paths import ROOT

PRODUCT = ("components", "compiled", "deploy", "kfp_edge", "pipelines", "serving/kfp_edge_serving")
#: How its service is called over gRPC, and how its Kubernetes Service is named.
SERVICE_NAMES = ("MetadataStoreService", "metadata-grpc", "metadata-envoy", "ml_metadata.")


@pytest.mark.usefixtures("no_pauses", "work_folder")
def test_runs_schedules_metrics_and_reports_need_only_the_pipeline_api(server: FakeKfp) -> None:
    set_results(server)
    client = client_of(server)
    run = submit_small(server)
    run.wait()
    assert run.metrics()
    assert run.reports()
    client.runs()
    client.schedules()
    asked = {request.path for request in server.requests}
    assert {path for path in asked if not path.startswith(("/apis/v2beta1/", "/store/"))} == set()


def product_files() -> Iterator[Path]:
    tracked = subprocess.run(["git", "ls-files", *PRODUCT], cwd=ROOT, capture_output=True, text=True, check=True)
    yield from (ROOT / name for name in tracked.stdout.splitlines())


def test_no_module_imports_it_and_no_manifest_names_its_service() -> None:
    imports = {}
    for path in product_files():
        if path.suffix not in (".py", ".yaml", ".sh"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not any(name in text for name in SERVICE_NAMES), path
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                imports |= {name.partition(".")[0]: path for name in names}
    assert "ml_metadata" not in imports
