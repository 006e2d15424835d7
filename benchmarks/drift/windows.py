"""Windows of rows with and without drift, the same in every process: all of it follows from a seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

SIZES = (50, 100, 200, 500, 1000, 5000)
REPEATS = 200
#: Windows after a change that are looked at, one after the other.
LATER = 10
DATA = Path(__file__).parents[3] / "shared" / "data"
_TRAINING_ROWS = 8000
_SITES = 6

Table = np.ndarray
#: Windows without drift in each repeat.
WITHOUT_DRIFT = 3
#: The rows of each site, shape [rows, features].
Window = dict[str, Table]
#: A window, and the windows before it as far as there are any.
WithHistory = tuple[Window, list[Window]]
#: Returns the windows of a size after each other, from a seed.
MakeWindows = Callable[[int, int], Iterator[WithHistory]]
#: Windows before a window.
HISTORY = 8


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    Attributes:
        name: As the table has it.
        has_drift: Whether each window has one, or none has.
        training: Returns the training rows, from a seed.
        windows: Yields the windows of a size after each other, from a seed.
    """

    name: str
    has_drift: bool
    training: Callable[[], Table]
    windows: MakeWindows


def generated(rows: int, rng: np.random.Generator, correlation: float = 0.0) -> Table:
    """Return six features: three sensors, one with a long tail, one of five steps, one that is mostly 0."""
    noise = rng.normal(size=(rows, 6))
    if correlation:
        start = rng.normal(size=(1, 6)) * correlation
        noise = lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], noise, axis=0, zi=start)[0]
    table = noise.copy()
    table[:, 3] = np.exp(noise[:, 3])
    table[:, 4] = np.digitize(noise[:, 4], (-1.2, -0.4, 0.4, 1.2))
    table[:, 5] = np.where(noise[:, 5] < 1.9, 0.0, noise[:, 5])
    return table


def _generated_windows(
    shift: Callable[[int], float], features: slice, correlation: float = 0.0, sites: int = 1, changed: int = 1
) -> MakeWindows:
    """Return the windows of generated sites, of which the first `changed` shift by so many standard deviations."""
    later = LATER if any(shift(number) for number in range(LATER)) else WITHOUT_DRIFT

    def windows(size: int, seed: int) -> Iterator[WithHistory]:
        rng = np.random.default_rng([seed, size])
        # one series for each site, so that a window begins as the one before has ended
        series = [generated(size * (HISTORY + later), rng, correlation) for _ in range(sites)]
        made: list[Window] = []
        for number, start in enumerate(range(0, size * (HISTORY + later), size)):
            window = {f"site-{site}": rows[start : start + size].copy() for site, rows in enumerate(series)}
            if number >= HISTORY:
                for site in range(changed):
                    window[f"site-{site}"][:, features] += shift(number - HISTORY)
                yield window, made[-HISTORY:]
            made.append(window)

    return windows


def _training(correlation: float = 0.0) -> Table:
    # a hundred machines, so that training has seen all of what is normal
    rng = np.random.default_rng(1)
    return np.concatenate([generated(_TRAINING_ROWS // 100, rng, correlation) for _ in range(100)])


@cache
def _ai4i() -> Table:
    table = pd.read_csv(DATA / "ai4i2020.csv").iloc[:, 3:8]
    return table.to_numpy(float)


@cache
def _temperature() -> Table:
    """Return the readings before the first failure."""
    table = pd.read_csv(DATA / "machine_temperature_system_failure.csv", parse_dates=["timestamp"])
    return table.loc[table["timestamp"] < "2013-12-15", ["value"]].to_numpy(float)


def _drawn(rows: Callable[[], Table], shift: float = 0.0, feature: int = 0) -> MakeWindows:
    """Return windows of rows that are drawn at random."""

    def windows(size: int, seed: int) -> Iterator[WithHistory]:
        rng, table = np.random.default_rng([seed, size]), rows()
        made: list[Window] = []
        for number in range(HISTORY + (LATER if shift else WITHOUT_DRIFT)):
            window = {"site-0": table[rng.integers(len(table), size=size)]}
            if number >= HISTORY:
                window["site-0"][:, feature] += shift * table[:, feature].std()
                yield window, made[-HISTORY:]
            made.append(window)

    return windows


def _consecutive(rows: Callable[[], Table], shift: float = 0.0) -> MakeWindows:
    """Return windows of rows that follow each other, which begin at random, with the rows before as history."""

    def windows(size: int, seed: int) -> Iterator[WithHistory]:
        rng, table = np.random.default_rng([seed, size]), rows()
        for _ in range(LATER if shift else WITHOUT_DRIFT):
            start = int(rng.integers(max(1, len(table) - size)))
            window = {"site-0": table[start : start + size] + shift * table.std(axis=0)}
            starts = [start - number * size for number in range(HISTORY, 0, -1)]
            yield window, [{"site-0": table[each : each + size]} for each in starts if each >= 0]

    return windows


def scenarios() -> list[Scenario]:
    """Return all scenarios for which there is data."""
    three, first = slice(0, 3), slice(0, 1)

    def none(_: int) -> float:
        return 0.0

    def half(_: int) -> float:
        return 0.5

    def one(_: int) -> float:
        return 1.0

    def slow(number: int) -> float:
        return 0.1 * (number + 1)

    def dependent() -> Table:
        return _training(0.95)

    made = [
        Scenario("generated, none", False, _training, _generated_windows(none, first)),
        Scenario("generated, none, six sites", False, _training, _generated_windows(none, first, sites=_SITES)),
        Scenario(
            "generated, none, each row depends on the one before (0.95)",
            False,
            dependent,
            _generated_windows(none, first, 0.95),
        ),
        Scenario("generated, sudden: three features by 1 s.d.", True, _training, _generated_windows(one, three)),
        Scenario("generated, one feature of six by 1 s.d.", True, _training, _generated_windows(one, first)),
        Scenario("generated, one feature of six by 0.5 s.d.", True, _training, _generated_windows(half, first)),
        Scenario(
            "generated, slow: one feature by 0.1 s.d. more in each window",
            True,
            _training,
            _generated_windows(slow, first),
        ),
        Scenario(
            "generated, one site of six, one feature by 1 s.d.",
            True,
            _training,
            _generated_windows(one, first, sites=_SITES),
        ),
        Scenario(
            "generated, sudden, each row depends on the one before (0.95)",
            True,
            dependent,
            _generated_windows(one, three, 0.95),
        ),
    ]
    if not DATA.is_dir():
        return made
    return [
        *made,
        Scenario("AI4I, none, rows drawn at random", False, _ai4i, _drawn(_ai4i)),
        Scenario("AI4I, none, rows as they follow each other", False, _ai4i, _consecutive(_ai4i)),
        Scenario("AI4I, torque by 1 s.d.", True, _ai4i, _drawn(_ai4i, 1.0, 3)),
        Scenario(
            "NAB temperature, none, readings as they follow each other", False, _temperature, _consecutive(_temperature)
        ),
        Scenario("NAB temperature, by 1 s.d.", True, _temperature, _consecutive(_temperature, 1.0)),
    ]
