"""`fleet_training` in two parts, as KFP's local runner cannot put a stage behind a loop."""

import json
from pathlib import Path

import pytest
import yaml
from kfp.dsl.executor import Executor

from kfp_edge.components.fleet_summary.component import fleet_summary
from kfp_edge.errors import KfpEdgeError
from kfp_edge.local import runner
from kfp_edge.ml.bundle import Bundle
from kfp_edge.spec import compiler
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from support.bundles import tiny_bundle


@pytest.fixture(scope="module")
def compiled() -> str:
    return compiler.compile_to_yaml(compiler.load_pipeline("fleet_training"))


@pytest.mark.slow
def test_each_asset_gets_a_model_of_its_own_name_and_data(compiled: str, tmp_path: Path) -> None:
    spec = next(iter(yaml.safe_load_all(compiled)))
    del spec["root"]["dag"]["tasks"]["fleet-summary"]
    pipeline = CompiledPipeline(yaml.safe_dump(spec))
    assets = [{"model_name": f"press-{seed}", "data": f"synthetic:ai4i?rows=1000&seed={seed}"} for seed in (1, 2)]
    found = runner.run(pipeline, pipeline.arguments({"assets": assets, "gates": {"roc_auc": 0.1}}), tmp_path)
    assert found.status == "succeeded", found.error
    manifests = [Bundle.load(path.parent).manifest for path in tmp_path.rglob("bundle/manifest.json")]
    assert sorted(manifest.name for manifest in manifests) == ["press-1", "press-2"]
    assert len({manifest.data_sha256 for manifest in manifests}) == 2


def test_the_comparison_takes_the_bundles_of_all_assets(tmp_path: Path) -> None:
    """As KFP's launcher hands a list of artifacts to a component."""
    folders = [tiny_bundle(tmp_path / name, name).folder for name in ("press-1", "press-2")]
    schema = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
    artifacts = [{"name": folder.name, "type": schema, "uri": str(folder), "metadata": {}} for folder in folders]

    def output(kind: str, name: str) -> dict[str, object]:
        artifact = {"name": name, "type": {"schemaTitle": kind}, "uri": str(tmp_path / name), "metadata": {}}
        return {name: {"artifacts": [artifact]}}

    Executor(
        executor_input={
            "inputs": {"artifacts": {"bundles": {"artifacts": artifacts}}},
            "outputs": {
                "artifacts": output("system.Metrics", "metrics") | output("system.HTML", "report"),
                "outputFile": str(tmp_path / "executor_output.json"),
            },
        },
        function_to_execute=fleet_summary.python_func,
    ).execute()
    (logged,) = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]["metrics"]["artifacts"]
    assert logged["metadata"] == {"models": 2}
    assert "press-2" in (tmp_path / "report").read_text()


def test_a_local_run_of_the_whole_pipeline_is_refused_before_anything_runs(compiled: str, tmp_path: Path) -> None:
    with pytest.raises(
        KfpEdgeError, match=r"starts fleet-summary before .*; run it on a cluster with `kfp-edge submit`"
    ):
        runner.run(CompiledPipeline(compiled), {}, tmp_path / "run")
    assert not (tmp_path / "run").exists()
