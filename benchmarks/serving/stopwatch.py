"""Times a call over and over, in a process of its own, and prints what `load.c` prints."""

import json
import time
from collections.abc import Callable

import numpy as np

_WARM_UP = 500


def measure(call: Callable[[], object], seconds: float) -> None:
    """Call for so many seconds and print one JSON object; times are microseconds."""
    for _ in range(_WARM_UP):
        call()
    times = [time.perf_counter()]
    end = times[0] + seconds
    while times[-1] < end:
        call()
        times.append(time.perf_counter())
    p50, p99 = np.percentile(np.diff(times) * 1e6, (50, 99))
    taken = times[-1] - times[0]
    print(json.dumps({"answers": len(times) - 1, "errors": 0, "seconds": taken, "p50_us": p50, "p99_us": p99}))
