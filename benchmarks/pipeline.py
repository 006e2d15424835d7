"""The wall time of the pipeline by stage, and what of it is orchestration: `make bench`.

The peer is the same work without any orchestrator: one Python process that calls the stages' own functions one after
another. It cannot cache, retry, schedule or run on a cluster; it is the floor that an orchestrator is measured against.
Every case runs once cold to build what is built once (the serving image), then is measured.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KFP_EDGE = Path(sys.executable).with_name("kfp-edge")
AI4I = Path(__file__).parents[2] / "shared" / "data" / "ai4i2020.csv"
LEAKS = ["UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF"]


def cases() -> dict[str, dict[str, Any]]:
    """The data of each case; AI4I itself where it lies beside the checkout, else as many generated rows."""
    published = {"data": str(AI4I), "target": "Machine failure", "drop": LEAKS}
    small = published if AI4I.exists() else {"data": "synthetic:ai4i?rows=10000&seed=0"}
    return {"AI4I, 10,000 rows": small, "1,000,000 generated rows": {"data": "synthetic:ai4i?rows=1000000&seed=0"}}


def orchestrated(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the pipeline as users do and return its summary, with the wall time of the whole command."""
    (folder / "parameters.yaml").write_text(json.dumps(parameters))
    start = time.perf_counter()
    command = [KFP_EDGE, "run", "edge_mlops", "--params", "parameters.yaml", "--out", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    summary: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return {**summary, "wall": time.perf_counter() - start}


def plain(parameters: dict[str, Any], folder: Path) -> float:
    """Do the same work in one Python process and return its wall time in seconds."""
    script = Path(__file__).with_name("pipeline_plain.py")
    start = time.perf_counter()
    subprocess.run([sys.executable, script, json.dumps(parameters)], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def report(name: str, summary: dict[str, Any], plain_seconds: float) -> None:
    """Print one case as a Markdown table."""
    stages, wall = summary["stages"], summary["wall"]
    work = sum(stage["work_seconds"] for stage in stages)
    print(f"\n## {name}\n\n| stage | wall s | work s |\n|---|---:|---:|")
    for stage in stages:
        print(f"| {stage['name']} | {stage['seconds']:.2f} | {stage['work_seconds']:.2f} |")
    print(f"| **whole command** | **{wall:.2f}** | **{work:.2f}** |")
    print(f"\nOrchestration: {wall - work:.2f} s, {(wall - work) / wall:.0%} of the wall time.")
    print(f"Peer, one plain Python process: {plain_seconds:.2f} s. ROC AUC {summary['metrics']['roc_auc']:.4f}.")


def main() -> None:
    """Measure every case beside its peer and print the tables."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"# The pipeline, stage by stage\n\nWritten by `make bench`. {machine}, serving image built before.")
    print("Work is all time inside a stage's own code, the import of its libraries included.")
    for name, parameters in cases().items():
        with tempfile.TemporaryDirectory() as scratch:
            folders = [Path(scratch, step) for step in ("warm-up", "measured", "plain")]
            for folder in folders:
                folder.mkdir()
            print(f"measuring {name}", file=sys.stderr)
            if name.startswith("AI4I"):
                orchestrated(parameters, folders[0])
                shutil.rmtree(folders[0])
            report(name, orchestrated(parameters, folders[1]), plain(parameters, folders[2]))


if __name__ == "__main__":
    main()
