"""The alarms of evidently (https://github.com/evidentlyai/evidently) in the same windows, in its own environment.

A column drifts by the test that evidently chooses by default, with its default limit; one column of one site is an
alarm.
"""

import json
import sys
import warnings
from pathlib import Path

import pandas as pd
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType
from windows import SIZES, Scenario, Table, Window, scenarios


def _is_alarm(window: Window, training: Table) -> bool:
    for table in window.values():
        for index in range(table.shape[1]):
            reference, current = pd.Series(training[:, index]), pd.Series(table[:, index])
            test = get_stattest(reference, current, ColumnType.Numerical, None)
            if test(reference, current, ColumnType.Numerical, None).drifted:
                return True
    return False


def _find_alarms(scenario: Scenario, training: Table, size: int, seed: int) -> list[bool]:
    """Return whether each window raises an alarm; with drift, none after the first alarm."""
    alarms = []
    for window, _ in scenario.windows(size, seed):
        alarms.append(_is_alarm(window, training))
        if scenario.has_drift and alarms[-1]:
            break
    return alarms


def main() -> None:
    """Write the alarms of each scenario and size as JSON."""
    output, repeats, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    warnings.simplefilter("ignore")
    alarms = []
    for scenario in scenarios():
        if scenario.name in names:
            training = scenario.training()
            for size in SIZES:
                of_size = [_find_alarms(scenario, training, size, seed) for seed in range(repeats)]
                alarms.append((scenario.name, size, of_size))
    output.write_text(json.dumps(alarms))


if __name__ == "__main__":
    main()
