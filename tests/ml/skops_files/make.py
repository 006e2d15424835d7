"""Make the skops files of this folder with the scikit-learn that is installed, and record what its models answer.

    python -m venv env && env/bin/pip install scikit-learn==1.7.2 skops==0.16.0 pandas==2.3.3
    OMP_NUM_THREADS=1 env/bin/python tests/ml/skops_files/make.py

writes `1.7.2/NAME.skops` and `1.7.2/answers.json`: the probabilities, or the scores of a detector, of the first 40
rows of `rows.csv`. The rows are in float32, as the models get them at the edge.
"""

import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

HERE = Path(__file__).parent
ROWS, COMPARED = 160, 40


def make_rows() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    numbers = generator.normal([50, 5, 1500], [5, 1, 200], (ROWS, 3)).astype(np.float32)
    rows = pd.DataFrame(numbers, columns=["temp", "pressure", "speed"]).astype(float)
    rows["load"] = rows["temp"].where(generator.random(ROWS) > 0.1)
    rows["site"] = np.array(["north", "south"], dtype=object)[generator.integers(0, 2, ROWS)]
    rows["failed"] = (rows["temp"] + 4 * rows["pressure"] + generator.normal(0, 2, ROWS) > 72).astype(int)
    return rows


def make_columns() -> object:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    select = [("n", numbers, ["load", "speed"]), ("s", MinMaxScaler(), slice(0, 2)), ("c", OneHotEncoder(), ["site"])]
    return make_pipeline(ColumnTransformer(select, remainder="passthrough"), LogisticRegression())


def make_models() -> dict[str, tuple[object, list[str]]]:
    forest = RandomForestClassifier(3, max_depth=3, random_state=0)
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(logistic, {"logisticregression__C": [0.1, 1]}, cv=2, scoring="f1")
    numbers = ["temp", "pressure", "speed"]
    return {
        "ada_boost": (AdaBoostClassifier(n_estimators=2, random_state=0), numbers),
        "calibrated": (CalibratedClassifierCV(forest, method="sigmoid", cv=2), numbers),
        "columns": (make_columns(), [*numbers, "load", "site"]),
        "forest": (forest, numbers),
        "gradient_boosting": (GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0), numbers),
        "hist_boosting": (HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4, random_state=0), numbers),
        "isolation_forest": (IsolationForest(n_estimators=3, max_samples=16, random_state=0), numbers),
        "neighbours": (make_pipeline(StandardScaler(), KNeighborsClassifier()), numbers),
        "neural_net": (make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=50, random_state=0)), numbers),
        "search": (search, numbers),
        "sgd": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), numbers),
        "svm": (make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)), numbers),
        "voting": (VotingClassifier([("a", logistic), ("b", forest)], voting="soft"), numbers),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    rows = make_rows()
    rows.to_csv(HERE / "rows.csv", index=False)
    folder = HERE / sklearn.__version__
    folder.mkdir(exist_ok=True)
    answers = {}
    for name, (model, features) in make_models().items():
        model.fit(rows[features], rows["failed"])
        is_detector = isinstance(model, IsolationForest)
        numbers = model.score_samples(rows[features]) if is_detector else model.predict_proba(rows[features])[:, 1]
        answers[name] = {"features": features, "numbers": numbers[:COMPARED].tolist()}
        skops.io.dump(model, folder / f"{name}.skops", compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    (folder / "answers.json").write_text(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
