"""Models of text change its case by a locale that every serving image has."""

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from kfp_edge.components.export.export import export_model
from kfp_edge.components.verify import checks
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import save_model
from kfp_edge.onnx_graph.locales import find_locales
from kfp_edge.onnx_graph.normalization import normalize
from kfp_edge.tasks.registry import predict, predict_onnx
from support.tables import SHA

NOTE = "The case of text is changed by the locale C.UTF-8 in place of en_US, which does the same."
TEXTS = ("Bearing WARM", "bearing OILY", "all good", "All GOOD again", "warm oil", "nothing found")


@pytest.fixture
def data() -> Dataset:
    frame = pd.DataFrame({"note": TEXTS * 20, "state": [1, 1, 0, 0, 1, 0] * 20})
    return Dataset(frame, Roles("classification", "state", (), ("note",)), SHA)


def normalizer(locale: str | None) -> onnx.ModelProto:
    """Return a model that writes text in lower case, by a locale or by that of onnxruntime."""
    stated = {} if locale is None else {"locale": locale}
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", **stated)
    tensors = [helper.make_tensor_value_info(name, TensorProto.STRING, [None]) for name in ("x", "y")]
    graph = helper.make_graph([node], "text", tensors[:1], tensors[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_text_model_of_scikit_learn_answers_as_it_does_there(tmp_path, data):
    columns = ColumnTransformer([("note", TfidfVectorizer(lowercase=True), "note")])
    estimator = make_pipeline(columns, LogisticRegression()).fit(data.x(), data.y())
    save_model(estimator, tmp_path / "model.skops")
    export_model(tmp_path / "model.skops", data, tmp_path / "model.onnx")
    exported = OnnxModel.load(tmp_path / "model.onnx")
    predicted, expected = predict_onnx(exported, data.x()), predict(estimator, data)
    np.testing.assert_allclose(predicted.ranking_score, expected.ranking_score, atol=1e-5)
    assert find_locales(exported.proto) == {"C.UTF-8"}
    assert [check.measured for check in checks.check_operators(exported.proto) if not check.passed] == []


@pytest.mark.parametrize("locale", [None, "en_US", "en_US.UTF-8"])
def test_the_locale_of_a_brought_model_becomes_one_that_is_everywhere(locale):
    normalized = normalize(normalizer(locale))
    assert find_locales(normalized.proto) == {"C.UTF-8"}
    assert normalized.notes == [
        "The case of text is changed by the locale C.UTF-8 in place of en_US, which does the same."
    ]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_locale_that_is_everywhere_stays(locale):
    normalized = normalize(normalizer(locale))
    assert (find_locales(normalized.proto), normalized.notes) == ({locale}, [])


@pytest.mark.parametrize(("locale", "name"), [("tr_TR.UTF-8", "tr_TR.UTF-8"), ("", "of the environment")])
def test_verify_refuses_a_locale_that_the_serving_image_does_not_have(locale, name):
    *_, operators = checks.check_operators(normalizer(locale))
    assert not operators.passed
    assert f"StringNormalizer (it needs the locale {name}, which the serving image does not have)" in operators.measured
