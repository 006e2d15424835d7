"""The number of processors that this container may use."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPUS_WITHOUT_LIMIT = 2


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the whole processors that the cgroup's CPU limit allows, at least 1; at most 2 if it sets none."""
    present = len(os.sched_getaffinity(0))
    limit = _cpu_limit(cgroup)
    return max(1, min(present, _CPUS_WITHOUT_LIMIT if limit is None else int(limit)))


def _cpu_limit(cgroup: Path) -> float | None:
    version2 = _read_words(cgroup / "cpu.max")
    version1 = _read_words(cgroup / "cpu/cpu.cfs_quota_us") + _read_words(cgroup / "cpu/cpu.cfs_period_us")
    for words in (version2, version1):
        if len(words) == 2 and words[0] not in ("max", "-1"):
            return int(words[0]) / int(words[1])
    return None


def _read_words(path: Path) -> list[str]:
    return path.read_text().split() if path.is_file() else []
