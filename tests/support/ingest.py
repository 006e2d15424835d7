"""Small tables, and a desk at which a test asks `ingest` for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import IngestRequest, TrainTestSplit, ingest
from kfp_edge.errors import KfpEdgeError
from support.paths import SHARED

DATA = SHARED / "data"
AI4I = DATA / "ai4i2020.csv"
SENSOR = DATA / "machine_temperature_system_failure.csv"
needs_data = pytest.mark.skipif(not AI4I.exists(), reason="needs the data beside the project")


def table(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "site": [f"s{row % 5}" for row in range(rows)],
            "type": [["L", "M"][row % 2] for row in range(rows)],
            "speed": np.arange(rows) + 1000,
            "load": np.arange(rows) / 7,
            "failed": [int(row % 4 == 3) for row in range(rows)],
        }
    )


class Desk:
    """Where a test puts data and asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = folder / "out" / "page.md"

    def write(self, content: pd.DataFrame | str | bytes, name: str = "data.csv") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ask(self, data: object, **options: Any) -> TrainTestSplit:
        options = {"target": "failed", "drop": ("at", "site"), **options}
        out = self.folder / "out"
        return ingest(IngestRequest(str(data), **options), out / "train", out / "test", self.page)

    def refused(self, data: object, *said: str, **options: Any) -> str:
        with pytest.raises(KfpEdgeError) as caught:
            self.ask(data, **options)
        message = str(caught.value)
        for words in said:
            assert words in message
        assert "\n" not in message
        assert not (self.folder / "out" / "train").exists()
        return message


def changed(column: str, cells: dict[int, object]) -> pd.DataFrame:
    frame = table()
    frame[column] = frame[column].astype(object)
    for row, cell in cells.items():
        frame.loc[row, column] = cell
    return frame
