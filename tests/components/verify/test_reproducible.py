"""The same data and seed give the same bundle, on any number of processors."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from kfp_edge.ml.dataset import Dataset, Roles
from support.models import verify_model, write_model
from support.paths import ROOT
from support.tables import SHA

SessionFactory = Callable[..., onnxruntime.InferenceSession]

#: Trains, exports and verifies with the processors and threads that are given, and prints the hashes.
_SCRIPT = """
    import os, sys
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[: int(sys.argv[1])])
    sys.path.insert(0, sys.argv[2])
    from pathlib import Path
    from kfp_edge.storage.files import sha256_file
    from support.models import verify_model, write_model
    from support.tables import {table}
    folder, rows = Path(sys.argv[3]), int(sys.argv[4])
    write_model(folder, {table}(rows))
    print(sha256_file(folder / "model.skops"), sha256_file(folder / "model.onnx"))
    print(verify_model(folder, {table}(rows), {table}(3000, seed=1), false_alarm_rate=0.05).digest)
"""


def _make_bundle(folder: Path, table: str, rows: int, threads: int) -> list[str]:
    """Return the hashes of the models and of the bundle, made with so many threads and at most as many processors."""
    folder.mkdir()
    script = textwrap.dedent(_SCRIPT).format(table=table)
    command = [sys.executable, "-c", script, str(threads), str(ROOT / "tests"), str(folder), str(rows)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-3:]


@pytest.mark.parametrize("table", ["failures", "anomalies"])
def test_the_number_of_processors_changes_no_byte(tmp_path: Path, table: str) -> None:
    hashes = [_make_bundle(tmp_path / str(threads), table, 2000, threads) for threads in (1, 4)]
    assert hashes[0] == hashes[1]


def test_the_recorded_answers_are_the_same_on_machines_with_more_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(0, 1, (6000, 6)).astype(np.float32), columns=list("abcdef"))
    failed = frame["a"] * frame["b"] + frame["c"] + rng.normal(0, 0.5, 6000) > 1.5
    data = Dataset(frame.assign(failed=failed.astype(int)), Roles("classification", "failed", tuple("abcdef"), ()), SHA)
    write_model(tmp_path, data)
    digests = []
    for cores in (1, 4):
        monkeypatch.setattr(onnxruntime, "InferenceSession", _session_on(cores))
        digests.append(verify_model(tmp_path, data, data, max_latency_ms=1000).digest)
    assert digests[0] == digests[1]


def _session_on(cores: int, create: SessionFactory = onnxruntime.InferenceSession) -> SessionFactory:
    """Return a replacement of `InferenceSession` that takes so many threads where their number is left open."""

    def create_session(
        model: bytes, sess_options: onnxruntime.SessionOptions, providers: list[str]
    ) -> onnxruntime.InferenceSession:
        sess_options.intra_op_num_threads = sess_options.intra_op_num_threads or cores
        return create(model, sess_options=sess_options, providers=providers)

    return create_session


@pytest.mark.slow
def test_the_number_of_processors_changes_no_byte_of_large_data(tmp_path: Path) -> None:
    hashes = [_make_bundle(tmp_path / str(threads), "failures", 110_000, threads) for threads in (1, 2, 4)]
    assert hashes[0] == hashes[1] == hashes[2]
