"""Machines that wear out: sensor rows with a failure log, as of Azure's predictive maintenance, and runs to failure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Hours before a failure in which the sensors of `make_fleet` show it.
VISIBLE_HOURS = 48


@dataclass(frozen=True)
class Fleet:
    """Hourly rows of machines (`machine`, `at`, sensors) and their failures (`machine`, `failed_at`, `mode`)."""

    rows: pd.DataFrame
    failures: pd.DataFrame


def make_fleet(machines: int = 8, days: int = 120, failures: int = 5, seed: int = 0) -> Fleet:
    """Return machines that run all the time; vibration rises in the two days before each of their failures."""
    rng = np.random.default_rng(seed)
    hours = days * 24
    rows, log = [], []
    for number in range(machines):
        at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(hours), unit="h")
        # failures are spread over the time, so that every part of it has some
        width = hours // failures
        failed = np.arange(failures) * width + rng.integers(VISIBLE_HOURS + 2, width, failures)
        until = np.min(np.where(failed >= np.arange(hours)[:, None], failed - np.arange(hours)[:, None], hours), axis=1)
        wear = np.clip(1 - until / VISIBLE_HOURS, 0, None)
        rows.append(
            pd.DataFrame(
                {
                    "machine": number + 1,
                    "at": at,
                    "vibration": (40 + 12 * wear + rng.normal(0, 2, hours)).round(3),
                    "pressure": (100 + rng.normal(0, 5, hours)).round(3),
                }
            )
        )
        log.append(pd.DataFrame({"machine": number + 1, "failed_at": at[failed], "mode": "bearing"}))
    return Fleet(pd.concat(rows, ignore_index=True), pd.concat(log, ignore_index=True))


def make_engines(engines: int = 20, seed: int = 0) -> pd.DataFrame:
    """Return runs of 100 to 300 cycles that end with their failure, as NASA C-MAPSS has them: `unit`, `cycle`, sensors.

    The sensors stay constant until about 125 cycles before the end, and drift from then on.
    """
    rng = np.random.default_rng(seed)
    runs = []
    for unit in range(1, engines + 1):
        cycles = int(rng.integers(100, 301))
        left = cycles - np.arange(1, cycles + 1)
        wear = np.clip(1 - left / 125, 0, None)
        runs.append(
            pd.DataFrame(
                {
                    "unit": unit,
                    "cycle": np.arange(1, cycles + 1),
                    "s2": (642 + 2 * wear**2 + rng.normal(0, 0.2, cycles)).round(4),
                    "s4": (1400 + 20 * wear + rng.normal(0, 2, cycles)).round(4),
                    "s11": (47 + wear**2 + rng.normal(0, 0.1, cycles)).round(4),
                }
            )
        )
    return pd.concat(runs, ignore_index=True)
