"""The number of processors that a container with a CPU limit may use."""

import os
from pathlib import Path

import pytest

from kfp_edge_serving.cpu_limit import usable_cpus

PRESENT = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "25000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "90000000 100000"}, PRESENT),
        ({"cpu.max": "max 100000"}, min(2, PRESENT)),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, min(2, PRESENT)),
        ({}, min(2, PRESENT)),
    ],
)
def test_the_cpu_limit_of_the_cgroup_is_kept(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    assert usable_cpus(tmp_path) == cpus
