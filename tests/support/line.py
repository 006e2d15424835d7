"""The line in this process: the components of ingest, train or fetch_model, export and verify, one after the other.

It calls the functions of the KFP components, as their executor does on a cluster, without a process for each.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Markdown, Metrics, Model

from kfp_edge.components.export.component import export
from kfp_edge.components.fetch_model.component import fetch_model
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.ml import dataset
from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset

_DEFAULTS: dict[str, Any] = {"model_name": "case", "model_version": "1.0.0", "gates": {}}


@dataclass(frozen=True)
class LineResult:
    """What a run of the line left: the bundle, or the sentence of the stage that refused."""

    folder: Path
    #: The stage that refused, and its sentence; both empty after success.
    stage: str
    error: str

    @property
    def bundle(self) -> Bundle:
        assert not self.error, f"{self.stage} refused: {self.error}"
        return Bundle.load(self.folder / "bundle")

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics that `train` measured, also where `verify` refused the model."""
        values: dict[str, float] = json.loads((self.folder / "metrics").read_text())
        return values

    @property
    def train_data(self) -> Dataset:
        return dataset.load(self.folder / "train_data")

    @property
    def test_data(self) -> Dataset:
        return dataset.load(self.folder / "test_data")

    @property
    def warnings(self) -> str:
        return "\n".join(self.train_data.preparation.warnings)

    def read_report(self, name: str) -> str:
        """Return a report: `ingest`, `train`, `verify`, or the model card `card`."""
        files = {"ingest": "ingest_report", "train": "train_report", "verify": "verify_report"}
        path = self.folder / files[name] if name in files else self.folder / "bundle" / "model_card.md"
        return path.read_text(encoding="utf-8")


class Line:
    """Runs the line into folders of its own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capture = capture
        self._runs = 0

    def deliver(self, model: object, data: object, **parameters: Any) -> LineResult:
        """Run fetch_model, ingest, export and verify; stop at the first one that refuses."""
        return self._run(data, parameters, model=str(model))

    def run(self, data: object, **parameters: Any) -> LineResult:
        """Run ingest, train, export and verify; stop at the first one that refuses."""
        return self._run(data, parameters)

    def _run(self, data: object, parameters: Mapping[str, Any], model: str = "") -> LineResult:
        self._runs += 1
        folder = self._folder / f"line-{self._runs}"
        folder.mkdir()
        values = {**_DEFAULTS, **parameters, "data": str(data)}
        for name, call in _make_calls(folder, values, model).items():
            self._capture.readouterr()
            try:
                call()
            except SystemExit:
                return LineResult(folder, name, _read_error(self._capture.readouterr().out))
        return LineResult(folder, "", "")


def _make_calls(folder: Path, values: Mapping[str, Any], brought: str) -> dict[str, Callable[[], Any]]:
    def artifact(kind: type[Artifact], name: str) -> Artifact:
        return kind(name=name, uri=str(folder / name))

    data = {name: artifact(dsl.Dataset, name) for name in ("train_data", "test_data")}
    model, onnx_model = artifact(Model, "model"), artifact(Model, "onnx_model")
    artifacts: dict[str, dict[str, object]] = {
        "ingest": {**data, "report": artifact(Markdown, "ingest_report")},
        "train": {
            **data,
            "model": model,
            "metrics": artifact(Metrics, "metrics"),
            "curves": artifact(ClassificationMetrics, "curves"),
            "report": artifact(HTML, "train_report"),
        },
        "export": {"model": model, "train_data": data["train_data"], "onnx_model": onnx_model},
        "verify": {
            **data,
            "model": model,
            "onnx_model": onnx_model,
            "bundle": artifact(Artifact, "bundle"),
            "metrics": artifact(Metrics, "verified_metrics"),
            "report": artifact(HTML, "verify_report"),
        },
    }
    if brought:
        artifacts["fetch_model"] = {"model": brought, "fetched": model}
        components = {"fetch_model": fetch_model, "ingest": ingest, "export": export, "verify": verify}
    else:
        components = {"ingest": ingest, "train": train, "export": export, "verify": verify}
    unknown = values.keys() - {name for each in components.values() for name in each.component_spec.inputs or {}}
    assert not unknown, f"no component has the parameter {min(unknown)}"
    return {name: _bind(component.python_func, {**artifacts[name], **values}) for name, component in components.items()}


def _bind(function: Callable[..., Any], values: Mapping[str, Any]) -> Callable[[], Any]:
    names = inspect.signature(function).parameters
    return lambda: function(**{name: value for name, value in values.items() if name in names})


def _read_error(output: str) -> str:
    lines = [line.partition("kfp-edge: ")[2] for line in output.splitlines() if line.startswith("kfp-edge: ")]
    error: str = json.loads(lines[-1])["error"]
    assert "\n" not in error
    return error
