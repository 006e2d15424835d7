"""Columns that single precision (float32), which a model works with at the edge, cannot hold."""

import numpy as np

from kfp_edge.ml.arrays import Float64s

#: Neighbouring float32 numbers may be this share of a column's spread apart.
_MAX_SPACING = 0.01


def describe_loss(values: Float64s) -> tuple[str, str] | None:
    """Return what float32 makes of a column and the remedy, or None where it holds the column well enough.

    The distance of neighbouring float32 numbers is compared with the interquartile range, at the quartiles; where half
    of the values are the same, with the standard deviation, at the largest value.

    Args:
        values: The values, shape [n], NaN where missing and otherwise finite.
    """
    values = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    if np.isinf(rounded).any():
        example = values[np.argmax(np.isinf(rounded))]
        return (
            "is beyond the range of float32, which a model works with at the edge "
            f"({_format(example)} becomes infinite)",
            f"if that means missing give missing_values=[{_format(example)}], else scale it",
        )
    errors = np.abs(rounded.astype(np.float64) - values)
    if not errors.any():
        return None
    low, high = np.quantile(values, (0.25, 0.75))
    spread, magnitude = high - low, max(abs(low), abs(high))
    if spread == 0:
        spread, magnitude = values.std(), np.abs(values).max()
    if spread == 0 or np.spacing(np.float32(magnitude)) <= _MAX_SPACING * spread:
        return None
    index = int(np.argmax(errors))
    example, result = _format(values[index]), _format(rounded[index])
    first = _format(values[0])
    if magnitude < 1:
        return (
            f"is too small for float32, which a model works with at the edge ({example} becomes {result})",
            "scale it",
        )
    return (
        f"needs more digits than a model works with at the edge, in float32 ({example} becomes {result})",
        describe_offset(first),
    )


def describe_offset(first: object) -> str:
    """Return the remedy for numbers of many digits; `first` is the first of them."""
    return f"subtract an offset from it, such as its first value, {first}"


def advise_infinite(values: Float64s) -> str:
    """Return the remedy for infinite values, shape [n], some of which are."""
    codes = ", ".join(code for code, value in (("Inf", np.inf), ("-Inf", -np.inf)) if (values == value).any())
    return f"if that means missing give missing_values=[{codes}]"


def _format(value: float) -> str:
    """Return a number as people write it: without an exponent where it has few digits."""
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else repr(number)
