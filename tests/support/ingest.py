"""Small tables, and a runner that writes them and runs `ingest` on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit, ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.errors import KfpEdgeError
from support.paths import SHARED

AI4I = SHARED / "data" / "ai4i2020.csv"
needs_data = pytest.mark.skipif(not AI4I.exists(), reason="the folder of test data is not beside this checkout")


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


def table_with(column: str, cells: dict[int, object]) -> pd.DataFrame:
    """Return the table with other cells in one column, by row number."""
    frame = table()
    frame[column] = frame[column].astype(object)
    for row, cell in cells.items():
        frame.loc[row, column] = cell
    return frame


class IngestRunner:
    """Writes data into a folder and runs `ingest` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = folder / "out" / "report.md"

    def write(self, content: pd.DataFrame | str | bytes, name: str = "data.csv") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(self, data: object, **options: Any) -> TrainTestSplit:
        options = {"target": "failed", "drop": ("at", "site"), **options}
        out = self.folder / "out"
        return ingest(IngestOptions(str(data), **options), out / "train", out / "test", self.report)

    def assert_refused(self, data: object, *expected: str, **options: Any) -> None:
        """Check that `ingest` fails with one sentence that contains each of `expected`, and writes no data."""
        with pytest.raises(KfpEdgeError) as caught:
            self.run(data, **options)
        message = str(caught.value)
        for text in expected:
            assert text in message
        assert "\n" not in message
        assert not (self.folder / "out" / "train").exists()
