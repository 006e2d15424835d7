"""`fleet_training` trains a model for each asset and compares them."""

import json
from pathlib import Path

import pytest
from kfp.dsl.executor import Executor

from kfp_edge import local
from kfp_edge.components.fleet_summary.component import fleet_summary
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle


@pytest.mark.slow
def test_each_asset_gets_a_model_of_its_own_name_and_data_and_all_are_compared(tmp_path: Path) -> None:
    assets = [{"model_name": f"press-{seed}", "data": f"synthetic:ai4i?rows=4000&seed={seed}"} for seed in (1, 2)]
    parameters = {"assets": assets, "gates": {"roc_auc": 0.1}}
    run = local.run("fleet_training", parameters, out=tmp_path / "run", on_progress=lambda _: None)
    manifests = [Bundle.load(path.parent).manifest for path in tmp_path.rglob("bundle/manifest.json")]
    assert sorted(manifest.name for manifest in manifests) == ["press-1", "press-2"]
    assert len({manifest.data_sha256 for manifest in manifests}) == 2
    assert run.metrics()["models"] == 2
    assert "press-2" in run.report("fleet-summary")


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
