"""Small tables with known structure, real tables that scikit-learn ships, and models fitted on them."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.pipeline import Pipeline

from kfp_edge.components.train.train import fit
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.threads import limit_threads
from kfp_edge.storage.files import canonical_json
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import TrainingOptions

SHA = "0" * 64


def failures(
    rows: int = 2000, seed: int = 0, *, labels: tuple[object, object] = (0, 1), categorical: bool = True
) -> Dataset:
    """Return rows of a machine that rarely fails: when it is hot and the torque is high, higher for type B."""
    rng = np.random.default_rng(seed)
    heat, torque = rng.normal(300, 2, rows), rng.normal(40, 10, rows)
    kind = rng.choice(["A", "B"], rows)
    failed = (heat > 301) & (torque > np.where(kind == "B", 58, 52))
    frame = pd.DataFrame({"heat [K]": heat, "torque [Nm]": torque})
    if categorical:
        frame["type"] = pd.Series(kind, dtype=object)
    frame["failed"] = pd.Series(np.where(failed, labels[1], labels[0]).tolist())
    if isinstance(labels[0], str):
        frame["failed"] = frame["failed"].astype(object)
    text = ("type",) if categorical else ()
    return Dataset(frame, Roles("classification", "failed", ("heat [K]", "torque [Nm]"), text), SHA)


def anomalies(rows: int = 2000, seed: int = 0, *, labelled: bool = True) -> Dataset:
    """Return rows of a sensor that leaves its range once, in the last quarter of the rows."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (rows, 2))
    odd = np.zeros(rows, dtype=np.int64)
    odd[-rows // 4 : -rows // 4 + rows // 20] = 1
    values[odd == 1] += 8
    frame = pd.DataFrame(values, columns=["temperature", "vibration"])
    frame["odd"] = odd
    roles = Roles("anomaly", "odd" if labelled else "", ("temperature", "vibration"), ())
    return Dataset(frame[list(roles.columns)], roles, SHA)


def mark_training_failures(rows: int = 600) -> Dataset:
    """Return training rows of a sensor of which 30 in the middle are labelled anomalous, with values from 7 up."""
    data = anomalies(rows)
    odd = np.zeros(rows, dtype=np.int64)
    odd[rows // 2 : rows // 2 + 30] = 1
    values = np.random.default_rng(0).uniform(0, 1, (rows, 2)) + 7 * odd[:, None]
    frame = pd.DataFrame(values.astype(np.float32), columns=["temperature", "vibration"]).assign(odd=odd)
    return Dataset(frame, data.roles, SHA)


def train_model(data: Dataset, *, seed: int = 0, false_alarm_rate: float = 0.01) -> Pipeline:
    """Fit as the train component does, with one thread; the rate is for a task that has one."""
    with limit_threads(data):
        return fit(data, TrainingOptions(seed, choose_rate(data, false_alarm_rate)))


def choose_rate(data: Dataset, false_alarm_rate: float) -> float:
    """Return a false-alarm rate for a task that has one, and the default, which every task takes, for another."""
    return false_alarm_rate if "false_alarm_rate" in task_of(data).options else TrainingOptions.false_alarm_rate


def read_sklearn_table(name: str) -> pd.DataFrame:
    """Return a real table that scikit-learn ships, with its label in the column `target`.

    `breast_cancer` has 569 rows and two classes (0 is malignant), `wine` 178 and three, `digits` 1,797 and ten.
    """
    load = {"breast_cancer": load_breast_cancer, "wine": load_wine, "digits": load_digits}[name]
    frame: pd.DataFrame = load(as_frame=True).frame
    return frame


def write_sklearn_sensor(folder: Path, normal_rows: int = 2000) -> tuple[Path, Path]:
    """Write a series made of real measurements, and its failure windows; return both files.

    Benign rows of the breast-cancer table, drawn with replacement, are normal; in the last third there are two windows
    of 40 malignant rows.
    """
    table = read_sklearn_table("breast_cancer")
    table = table[["mean radius", "mean texture", "mean smoothness", "worst concave points", "target"]]
    benign = table[table["target"] == 1].sample(normal_rows, replace=True, random_state=0)
    malignant = table[table["target"] == 0].sample(80, random_state=0)
    cuts = [normal_rows * 2 // 3, normal_rows * 5 // 6]
    parts = [benign[: cuts[0]], malignant[:40], benign[cuts[0] : cuts[1]], malignant[40:], benign[cuts[1] :]]
    series = pd.concat(parts, ignore_index=True)
    series.insert(0, "at", pd.date_range("2024-01-01", periods=len(series), freq="h"))
    starts = [cuts[0], cuts[1] + 40]
    windows = [[str(series["at"][start]), str(series["at"][start + 39])] for start in starts]
    series.drop(columns="target").to_csv(folder / "sensor.csv", index=False)
    (folder / "windows.json").write_bytes(canonical_json(windows))
    return folder / "sensor.csv", folder / "windows.json"
