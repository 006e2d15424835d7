"""Quantities of CPU and memory, as Kubernetes writes them (apimachinery: `resource.Quantity`)."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator

_PATTERN = re.compile(r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<suffix>[numkKMGTPE]i?|[eE][+-]?[0-9]{1,2}|)")
_FACTORS = {"": Decimal(1)} | {
    suffix: factor
    for power, letter in enumerate("kMGTPE", start=1)
    for suffix, factor in ((letter, Decimal(1000) ** power), (f"{letter.upper()}i", Decimal(1024) ** power))
}
_FACTORS |= {letter: Decimal(10) ** -power for letter, power in (("m", 3), ("u", 6), ("n", 9))}

_SMALLEST_CPU, _LARGEST_CPU = Decimal("0.001"), Decimal(10_000)
#: Less memory than a container can be started with; nearly always a number whose unit was forgotten.
_SMALLEST_MEMORY = Decimal(1024**2)
_WRITE_CPU = "write processors, such as 2 or 500m"
_WRITE_MEMORY = "write bytes with a unit, such as 4Gi or 512Mi"


def parse_quantity(text: str) -> Decimal:
    """Return the number of processors or bytes that `500m`, `2`, `1e3` or `4Gi` stand for.

    The official client has this function too, but its import takes longer than most stages run.

    Raises:
        ValueError: it is no quantity.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("it is no quantity of Kubernetes")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix[:1] in ("e", "E") and suffix[1:].strip("+-").isdecimal():
        return number * Decimal(10) ** int(suffix[1:])
    if suffix not in _FACTORS:
        raise ValueError("it is no quantity of Kubernetes")
    return number * _FACTORS[suffix]


def check_cpu(text: str) -> str:
    """Return a quantity of processors as it is.

    Raises:
        ValueError: it is none that a container can have.
    """
    if not _SMALLEST_CPU <= _parse(text, _WRITE_CPU) <= _LARGEST_CPU:
        raise ValueError(f"no container can have that many; {_WRITE_CPU}")
    return text


def check_memory(text: str) -> str:
    """Return a quantity of memory as it is.

    Raises:
        ValueError: it is none that a container can have.
    """
    if (amount := _parse(text, _WRITE_MEMORY)) < _SMALLEST_MEMORY:
        raise ValueError(f"that is {amount:f} bytes; {_WRITE_MEMORY}")
    return text


def _parse(text: str, remedy: str) -> Decimal:
    try:
        return parse_quantity(text)
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error


#: A quantity of processors, and one of memory.
Cpu = Annotated[str, AfterValidator(check_cpu)]
Memory = Annotated[str, AfterValidator(check_memory)]
