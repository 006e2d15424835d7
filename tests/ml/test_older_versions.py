"""Models that other versions of scikit-learn saved answer as they did there, or are refused in one sentence."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import IsolationForest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.skops_model import describe_versions, load_model, save_model
from support.skops_files import copy_with, set_attribute
from support.tables import failures, train_model

#: `make.py` in it says how the files were made.
FILES = Path(__file__).with_name("skops_files")
#: Kinds of models that scikit-learn 1.3 saved in a form that 1.4 and later do not read.
CHANGED_SINCE_1_3 = {
    "ada_boost": "trees",
    "calibrated": "trees",
    "columns": "SimpleImputer",
    "forest": "trees",
    "gradient_boosting": "gradient boosting and trees",
    "hist_boosting": "histogram gradient boosting",
    "isolation_forest": "trees",
    "voting": "trees",
}
ROWS = pd.read_csv(FILES / "rows.csv").astype({"site": object})
CASES = [
    (version, name)
    for version in ("1.3.2", "1.5.2", "1.7.2", "1.8.0")
    for name in sorted(json.loads((FILES / version / "answers.json").read_text()))
    if name != "neighbours" and not (version == "1.3.2" and name in CHANGED_SINCE_1_3)
]


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_model_answers_as_it_did_where_it_was_saved(version, name):
    recorded = json.loads((FILES / version / "answers.json").read_text())[name]
    model = load_model(FILES / version / f"{name}.skops")
    rows = ROWS[recorded["features"]].iloc[: len(recorded["numbers"])]
    answers = model.score_samples(rows) if isinstance(model, IsolationForest) else model.predict_proba(rows)[:, 1]
    if (version, name) == ("1.5.2", "ada_boost"):
        # its algorithm is gone, so export refuses it by name
        assert not np.allclose(answers, recorded["numbers"])
    else:
        # the last digits of a support vector machine depend on the processor
        assert np.allclose(answers, recorded["numbers"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "kind"), CHANGED_SINCE_1_3.items())
def test_what_1_3_saved_otherwise_is_refused_with_both_versions(name, kind):
    with pytest.raises(KfpEdgeError) as error:
        load_model(FILES / "1.3.2" / f"{name}.skops")
    assert f"saved with scikit-learn 1.3.2, whose {kind} differ from those of {sklearn.__version__} here" in str(
        error.value
    )
    assert "fit it again with scikit-learn 1.4 to 1.9, or export it to ONNX where it was trained." in str(error.value)


@pytest.mark.parametrize("version", ["1.3.2", "1.8.0"])
def test_nearest_neighbours_are_refused_with_the_reason(version):
    with pytest.raises(KfpEdgeError, match="nearest neighbours are not exported, because ONNX chooses other ones"):
        load_model(FILES / version / "neighbours.skops")


def test_of_a_search_its_best_estimator_is_loaded():
    assert [name for name, _ in load_model(FILES / "1.7.2" / "search.skops").steps] == [
        "standardscaler",
        "logisticregression",
    ]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.2.2", "which is too old for 1.9"),
        ("1.10.0", r"which is later than 1\.9\.\d+ here; save it with scikit-learn 1\.9"),
    ],
)
def test_models_of_versions_that_were_not_measured_are_refused(tmp_path, version, message):
    path = tmp_path / "model.skops"
    save_model(train_model(failures(300)), path)
    set_attribute(path, "_sklearn_version", version)
    with pytest.raises(KfpEdgeError, match=message):
        load_model(path)


def test_a_type_of_scikit_learn_that_is_not_trusted_is_named_with_both_versions(tmp_path):
    path = tmp_path / "model.skops"
    copy_with(FILES / "1.7.2" / "sgd.skops", path, ("StandardScaler", "GoneScaler"))
    with pytest.raises(
        KfpEdgeError, match=r"GoneScaler; it was saved with scikit-learn 1\.7\.2, and 1\.9\.\d+ is here"
    ):
        load_model(path)


def test_versions_are_described_only_where_they_differ(tmp_path):
    save_model(train_model(failures(300)), tmp_path / "model.skops")
    assert describe_versions(tmp_path / "model.skops") == ""
    assert "saved with scikit-learn 1.7.2" in describe_versions(FILES / "1.7.2" / "sgd.skops")
