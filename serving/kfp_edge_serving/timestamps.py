"""Timestamps of ISO 8601 as nanoseconds since 1970, and back."""

import re
from datetime import UTC, datetime, timedelta

_FRACTION = re.compile(r"(:\d{2})[.,](\d{1,9})(?=[Z+-]|$)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_timestamp(text: str) -> int | None:
    """Return nanoseconds since 1970, None if it is no timestamp; one without an offset is in UTC."""
    match = _FRACTION.search(text)
    nanoseconds = 0
    if match:
        nanoseconds = int(match[2].ljust(9, "0"))
        text = text[: match.end(1)] + text[match.end(2) :]
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (moment - _EPOCH) // _MICROSECOND * 1000 + nanoseconds


def format_timestamp(nanoseconds: int) -> str:
    """Return a timestamp in UTC, with as many digits of the second as it needs.

    Raises:
        OverflowError: it is before the year 1 or after 9999.
    """
    seconds, rest = divmod(nanoseconds, 10**9)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"
