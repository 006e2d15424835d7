"""The results of one run of the benchmark."""

from dataclasses import dataclass, field

from load import Effort, Figure, Load, Measured
from payloads import Case
from sizes import Sizes
from soak import Overload, Soak, Swaps

ONE_ROW = Case("JSON", 1)
#: As clients send them that trace their requests.
WITH_IDS = Case("JSON", 1, has_ids=True)
_PLAIN = [Case(encoding, rows) for encoding in ("JSON", "binary", "gRPC") for rows in (1, 32)]
CASES = (ONE_ROW, WITH_IDS, *_PLAIN[1:])

ALONE = Load(1, is_pinned=True)
SIXTEEN = Load(16, is_pinned=False)
SIXTEEN_PINNED = Load(16, is_pinned=True)
LOADS = (ALONE, SIXTEEN, SIXTEEN_PINNED)


@dataclass
class Row:
    """The measurements of one server; `memory` in bytes, `cold_start` in seconds."""

    title: str
    cold_start: Figure
    memory: int = 0
    loads: dict[tuple[Case, Load], Measured] = field(default_factory=dict)
    #: By rows: one call after another through Python's grpcio.
    python_calls: dict[int, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """Rows by the title of their server, in the order in which they were measured."""

    effort: Effort
    bare: dict[int, Measured]
    rows: dict[str, Row]
    sizes: Sizes
    soak: Soak
    overload: Overload
    swaps: Swaps
