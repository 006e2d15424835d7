"""Gates of a run: a default gate is switched off as the documentation says, and null is refused before the run."""

from pathlib import Path

import pytest

from kfp_edge import local
from kfp_edge.errors import ParameterError
from kfp_edge.ml.bundle import Bundle

DATA = "synthetic:ai4i?rows=600&seed=0"
GATES = ("roc_auc", "recall", "balanced_accuracy")


def test_a_default_gate_is_switched_off_with_off(tmp_path: Path) -> None:
    parameters = {"data": DATA, "gates": dict.fromkeys(GATES, "off"), "max_latency_ms": 1000.0}
    local.run("training", parameters, out=tmp_path / "run", on_progress=lambda _: None)
    (manifest,) = (tmp_path / "run").rglob("bundle/manifest.json")
    card = (Bundle.load(manifest.parent).folder / "model_card.md").read_text()
    assert "model size" in card
    assert "gate " not in card


def test_null_as_a_gate_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match='gates is null at roc_auc, .*; write "off" to switch a gate off'):
        local.run("training", {"data": DATA, "gates": {"roc_auc": None}}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
