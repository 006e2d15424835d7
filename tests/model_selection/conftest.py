"""Training rows as `ingest` leaves them after each kind of split."""

import numpy as np
import pytest

from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from support.tables import SHA, failures


@pytest.fixture
def rows() -> Dataset:
    """Rows of twelve machines, which take turns, with their times; some rows share a time."""
    data = failures(600, categorical=False)
    numbers = np.arange(600)
    frame = data.frame.assign(machine=[f"m{number % 12}" for number in numbers], at=numbers // 3)
    roles = Roles("classification", "failed", data.roles.numeric, (), time="at", group="machine")
    return Dataset(frame[list(roles.columns)], roles, SHA)


@pytest.fixture
def runs() -> Dataset:
    """Rows of twelve runs that follow each other in time."""
    data = failures(600, categorical=False)
    numbers = np.arange(600)
    frame = data.frame.assign(run=[f"r{number // 50}" for number in numbers], at=numbers)
    roles = Roles("classification", "failed", data.roles.numeric, (), time="at", group="run")
    return Dataset(frame[list(roles.columns)], roles, SHA, Preparation(split="group-and-time"))
