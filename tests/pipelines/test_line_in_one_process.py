"""The line on tables like those that people have, generated here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.line import Line


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_measurements_in_full_precision_give_a_bundle(line: Line, tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    wear = np.sin(np.arange(20_000) / 150)
    table = pd.DataFrame(
        {
            "temp": 300 + wear + 0.3 * random.normal(size=20_000),
            "pressure": 1013 + 5 * random.normal(size=20_000),
            "failed": (wear + 0.2 * random.normal(size=20_000) > 0.7).astype(int),
        }
    )
    table.to_csv(tmp_path / "data.csv", index=False)
    assert line.run(tmp_path / "data.csv", target="failed").bundle.manifest.metrics["roc_auc"] > 0.7
