"""Commands as users run them, with their time and memory; as a program, it runs one: measure.py COMMAND..."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command took: wall time, the time of processors of all its processes, the memory of the largest one.

    `is_estimate` if it was measured at a sample of the sites, and multiplied.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    is_estimate: bool = False


def measure(command: Sequence[str | Path], runs: int = 1) -> Cost:
    """Run a command several times and return what the fastest run took; a command that fails ends the benchmark."""
    return min((_measure_once(command) for _ in range(runs)), key=lambda cost: cost.seconds)


def _measure_once(command: Sequence[str | Path]) -> Cost:
    # by a small process: a process counts the memory of the one that started it as its own
    done = subprocess.run([sys.executable, "-IS", __file__, *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return Cost(**json.loads(done.stdout))


def _run(command: Sequence[str]) -> dict[str, float]:
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            sys.exit(log.read())
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": usage.ru_maxrss * 1024 / 1e6}


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1:])))
