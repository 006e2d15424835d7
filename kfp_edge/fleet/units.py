"""Values as people write them in `fleet.yaml` and `site.yaml`: names, durations, shares, counts."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHARE = re.compile(r"(\d{1,3}(\.\d+)?) ?%")


def is_label(text: str) -> bool:
    """Whether a text is a DNS label, as Kubernetes and folders of the repository need it."""
    return _LABEL.fullmatch(text) is not None


def parse_duration(value: object) -> timedelta:
    """Parse a duration such as 90s, 30m, 24h or 7d.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 30m, 24h or 7d")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError("must be shorter than 1,000,000,000 days") from None


def format_duration(value: timedelta) -> str:
    """Return a duration in the largest unit in which it is a whole number."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_share(value: object) -> float:
    """Parse a share such as 5% to a number from 0 to 1.

    Raises:
        ValueError: it is none.
    """
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError("must be a share such as 5%, from 0% to 100%")
    return float(match[1]) / 100


def format_share(value: float) -> str:
    """Return a share in per cent."""
    return f"{value * 100:g}%"


def _parse_count_or_share(value: object) -> int | float:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("must be at least 1")
        return value
    try:
        share = parse_share(value)
    except ValueError as error:
        raise ValueError("must be a number of sites such as 5, or a share of them such as 10%") from error
    if not share:
        raise ValueError("must be above 0%")
    return share


def _format_count_or_share(value: int | float) -> int | str:
    return value if isinstance(value, int) else format_share(value)


def _check_label(value: str) -> str:
    if not is_label(value):
        raise ValueError("must be a DNS label: lower-case letters, digits and -, at most 63")
    return value


Label = Annotated[str, AfterValidator(_check_label)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Share = Annotated[float, BeforeValidator(parse_share), PlainSerializer(format_share)]
#: A number of sites (int) or a share of them (float).
CountOrShare = Annotated[int | float, BeforeValidator(_parse_count_or_share), PlainSerializer(_format_count_or_share)]
