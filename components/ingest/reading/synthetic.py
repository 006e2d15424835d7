"""Generated machine data, so that the pipelines run without any download.

It follows the published description of the AI4I 2020 Predictive Maintenance Dataset: S. Matzka, "Explainable
Artificial Intelligence for Predictive Maintenance Applications", 2020; UCI Machine Learning Repository #601,
whose description is licensed CC BY 4.0. None of its rows are used. Where the description leaves the choice
open, the choice is named beside the code.
"""

from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import Float64s, Int64s, Mask

SCHEME = "synthetic:"
TARGET = "Machine failure"
#: Identifiers, and the failure modes that leak the target.
NOT_FEATURES = ("UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF")

_ROWS = 10_000
_TYPES = ("L", "M", "H")
_SHARES = (0.5, 0.3, 0.2)
_WEAR_STEP_MIN = np.array([2, 3, 5])
_OVERSTRAIN_MIN_NM = np.array([11_000, 12_000, 13_000])
_FIRST_SERIAL = np.array([47_180, 14_860, 29_414])
#: 51 of the 120 tools that reached the end of their life failed before they were replaced.
_TOOL_FAILURE_RATE = 51 / 120


def generate(uri: str) -> pa.Table:
    """Return the table for an address such as `synthetic:ai4i?rows=10000&seed=0`.

    The same address gives the same table. Columns and types are those of the published file: temperatures
    in K, speed in rpm, torque in Nm, tool wear in min, and 0 or 1 for `Machine failure` and each of its modes.

    Raises:
        ParameterError: the address names another generator or an unknown option, or an option is no number.
    """
    name, _, query = uri.removeprefix(SCHEME).partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if name != "ai4i" or not options.keys() <= {"rows", "seed"}:
        raise ParameterError(f"there is no generated data {uri!r}; write synthetic:ai4i?rows=10000&seed=0.")
    return ai4i(_parse_number(uri, options, "rows", _ROWS, 1), _parse_number(uri, options, "seed", 0, 0))


def ai4i(rows: int, seed: int) -> pa.Table:
    """Return `rows` rows that follow the description of the AI4I dataset."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(_TYPES), size=rows, p=_SHARES)
    air = 300 + 2 * _random_walk(rng, rows)
    process = air + 10 + _random_walk(rng, rows)
    torque = np.clip(rng.normal(40, 10, rows), 0.1, None).round(1)
    speed = _compute_speed(rng, torque)
    wear, tool_failure = _simulate_tool_wear(rng, kind)
    power = torque * speed * 2 * np.pi / 60
    air, process = air.round(1), process.round(1)
    modes = {
        "TWF": tool_failure,
        # in tenths of a kelvin, so that rounding errors do not decide
        "HDF": (np.rint((process - air) * 10) < 86) & (speed < 1380),
        "PWF": (power < 3500) | (power > 9000),
        "OSF": wear * torque > _OVERSTRAIN_MIN_NM[kind],
        "RNF": rng.random(rows) < 0.001,
    }
    udi = np.arange(1, rows + 1)
    letters = pa.array(_TYPES).take(pa.array(kind))
    return pa.table(
        {
            "UDI": udi,
            "Product ID": _join_strings(letters, _FIRST_SERIAL[kind] + udi - 1),
            "Type": letters,
            "Air temperature [K]": air,
            "Process temperature [K]": process,
            "Rotational speed [rpm]": speed,
            "Torque [Nm]": torque,
            "Tool wear [min]": wear,
            TARGET: np.logical_or.reduce(list(modes.values())).astype(np.int64),
            **{name: hit.astype(np.int64) for name, hit in modes.items()},
        }
    )


def _parse_number(uri: str, options: dict[str, str], name: str, default: int, minimum: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= minimum):
        raise ParameterError(f"{name} in {uri!r} must be a whole number of at least {minimum}.")
    return int(text)


def _random_walk(rng: np.random.Generator, rows: int) -> Float64s:
    """Return a random walk normalised to mean 0 and standard deviation 1.

    It is normalised by rank to the normal distribution, so that the share of failures hardly depends on how far
    this one walk drifts.
    """
    walk = rng.standard_normal(rows).cumsum()
    normalised = np.empty(rows)
    normalised[np.argsort(walk, kind="stable")] = np.sort(rng.standard_normal(rows))
    return normalised


def _compute_speed(rng: np.random.Generator, torque: Float64s) -> Int64s:
    """Return the rotational speed in rpm.

    The description gives a power of 2860 W and normal noise, which would mean 683 rpm at 40 Nm; the published file
    has 1500 rpm there. So the relation is that of its rows: 1000 rpm and a term that falls with the torque, at most
    2860 rpm, with noise of 54 rpm.
    """
    speed = np.minimum(1000 + 20_000 / torque, 2860) + rng.normal(0, 54, len(torque))
    return np.rint(speed).astype(np.int64)


def _simulate_tool_wear(rng: np.random.Generator, kind: Int64s) -> tuple[Int64s, Mask]:
    """Return each row's tool wear in min, and whether the tool failed in that row.

    A tool is used for 200 to 240 min, drawn at random; then it fails or is replaced before it does.
    """
    used = np.concatenate([[0], _WEAR_STEP_MIN[kind].cumsum()[:-1]])
    starts, ends = [], []
    start = 0
    while start < len(used):
        end = int(np.searchsorted(used, used[start] + rng.integers(200, 241)))
        starts.append(start)
        ends.append(end)
        start = end + 1
    lengths = np.diff([*starts, len(used)])
    failed = np.zeros(len(used) + 1, dtype=bool)
    failed[np.minimum(ends, len(used))] = rng.random(len(ends)) < _TOOL_FAILURE_RATE
    return used - np.repeat(used[starts], lengths), failed[:-1]


def _join_strings(letters: pa.Array, numbers: Int64s) -> pa.Array:
    return pc.binary_join_element_wise(letters, pa.array(numbers).cast(pa.string()), "")
