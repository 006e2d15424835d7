"""Verification: a good model becomes a bundle, a bad one is refused with what was measured and required."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from kfp_edge.components.verify import checks
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import save_model
from support.models import IDENTITY, verify_model, write_model
from support.tables import anomalies, failures, train_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("trained"), failures())


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    for name in ("model.skops", "model.onnx"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("make", [failures, anomalies])
def test_a_good_model_becomes_a_complete_bundle(tmp_path, make):
    bundle = verify_model(write_model(tmp_path, make()), make(), make(seed=1), gates={"roc_auc": 0.8})
    assert bundle.manifest.name == "pump"
    assert bundle.manifest.revision == "abc"
    assert bundle.manifest.metrics["roc_auc"] > 0.8
    assert "# pump 1.0.0" in (tmp_path / "bundle" / "model_card.md").read_text()


def test_the_same_model_gives_the_same_bundle(folder):
    first = verify_model(folder, failures(), failures(seed=1)).digest
    assert verify_model(folder, failures(), failures(seed=1)).digest == first


def test_every_sample_is_a_held_out_row_with_the_output_of_the_model(folder):
    bundle = verify_model(folder, failures(), failures(seed=1))
    samples = bundle.samples.samples
    labels = {sample.response["outputs"][0]["data"][0] for sample in samples}
    heats = failures(seed=1).frame["heat [K]"].to_numpy(np.float32)
    assert len(samples) == 20
    assert labels == {0, 1}
    assert all(np.float32(sample.request["inputs"][0]["data"][0]) in heats for sample in samples)


def test_a_gate_that_is_not_met_is_refused_with_both_values(folder):
    with pytest.raises(KfpEdgeError, match="gate log_loss was not met: measured .*, required at most 0;"):
        verify_model(folder, failures(), failures(seed=1), gates={"log_loss": 0})
    assert not (folder / "bundle").exists()
    assert "gate log_loss" in (folder / "report.html").read_text()


def test_a_gate_on_a_metric_that_this_task_lacks_is_refused(folder):
    with pytest.raises(KfpEdgeError, match="the gate specificity is measured for task=anomaly only"):
        verify_model(folder, failures(), failures(seed=1), gates={"specificity": 1})


def test_a_model_that_differs_from_its_original_is_refused_with_the_worst_rows(folder):
    save_model(train_model(failures(seed=7), seed=3), folder / "model.skops")
    with pytest.raises(KfpEdgeError, match="parity of numbers was not met: measured largest difference"):
        verify_model(folder, failures(), failures(seed=1))
    assert "worst rows" in (folder / "report.html").read_text()


def test_a_model_without_its_original_passes_the_other_checks(folder):
    (folder / "model.skops").write_bytes((folder / "model.onnx").read_bytes())
    bundle = verify_model(folder, failures(), failures(seed=1))
    assert bundle.manifest.metrics["roc_auc"] > 0.9
    assert "Not checked" in (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def champion(trained, tmp_path_factory) -> Path:
    """The bundle of the trained model."""
    folder = tmp_path_factory.mktemp("champion")
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return verify_model(folder, failures(), failures(seed=1)).folder


def test_a_model_worse_than_the_champion_is_refused(folder, champion):
    noisy = failures(seed=5)
    noisy.frame["failed"] = np.random.default_rng(0).permutation(noisy.frame["failed"])
    write_model(folder, noisy)
    with pytest.raises(KfpEdgeError, match="champion roc_auc was not met: .* at least .* .champion 1, margin"):
        verify_model(folder, noisy, failures(seed=1), champion=str(champion))


def test_a_model_as_good_as_the_champion_passes(folder, champion):
    verify_model(folder, failures(), failures(seed=1), champion=str(champion))


def test_an_altered_champion_is_refused(folder, champion, tmp_path):
    altered = shutil.copytree(champion, tmp_path / "altered")
    with (altered / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(KfpEdgeError, match=r"model\.onnx was altered after it was verified"):
        verify_model(folder, failures(), failures(seed=1), champion=str(altered))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_model_mb": 0.001}, r"model size was not met: measured .* MB, required at most 0\.001 MB"),
        (
            {"max_latency_ms": 1e-6},
            r"latency of one row was not met: measured p50 .* ms, required p99 at most 1e-06 ms",
        ),
    ],
)
def test_a_budget_that_is_exceeded_is_refused_with_both_values(folder, limit, message):
    with pytest.raises(KfpEdgeError, match=message):
        verify_model(folder, failures(), failures(seed=1), **limit)


def test_a_random_operator_is_refused_before_the_model_runs(folder):
    model = onnx.load(folder / "model.onnx")
    noise = helper.make_node("RandomNormal", [], ["noise"], shape=[1], dtype=TensorProto.FLOAT)
    model.graph.node.append(noise)
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(KfpEdgeError, match=r"allowed operators was not met: measured RandomNormal \(it is random\)"):
        verify_model(folder, failures(), failures(seed=1))


def test_a_forbidden_operator_inside_a_branch_is_refused():
    inner = helper.make_graph(
        [helper.make_node("RandomUniform", [], ["out"], shape=[1])],
        "inner",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    outer = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([outer], "outer", [helper.make_tensor_value_info("flag", TensorProto.BOOL, [])], [])
    results = checks.check_operators(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert not results[-1].passed


def test_an_operator_of_an_unknown_domain_is_refused():
    graph = helper.make_graph([], "empty", [], [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    results = checks.check_operators(helper.make_model(graph, opset_imports=opsets))
    assert [check.passed for check in results] == [True, False, True]


@given(cut=st.integers(min_value=0, max_value=200_000))
def test_a_truncated_model_is_refused(trained, tmp_path_factory, cut):
    whole = (trained / "model.onnx").read_bytes()
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    with pytest.raises(KfpEdgeError, match="no (valid )?ONNX file|carries no signature"):
        OnnxModel.load(path)


@pytest.mark.parametrize(("field", "value"), [("name", "Not A Label"), ("version", "a/b")])
def test_a_name_that_cannot_be_a_folder_or_a_tag_is_refused(folder, field, value):
    identity = replace(IDENTITY, **{field: value})
    with pytest.raises(KfpEdgeError, match=f"model_{field} '{value}' cannot be used; it must be "):
        verify_model(folder, failures(), failures(seed=1), identity)
    assert not (folder / "bundle").exists()
