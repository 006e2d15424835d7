"""Numbers as reports show them."""

import math
from typing import SupportsFloat


def format_number(value: SupportsFloat) -> str:
    """Return a number with four significant digits, or a whole number below 10^9 with thousands separators.

    NaN is `missing`; infinity is `inf` or `-inf`; the negative zero of rounding is `0`.
    """
    number = float(value) + 0.0
    if math.isnan(number):
        return "missing"
    return f"{number:,.0f}" if abs(number) < 1e9 and number.is_integer() else f"{number:.4g}"


def format_share(count: int, of: int) -> str:
    """Return a count with its share, such as `1,275 (12.75 %)`."""
    return f"{count:,} ({100 * count / of:.2f} %)"
