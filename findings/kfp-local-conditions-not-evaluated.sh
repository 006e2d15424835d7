#!/usr/bin/env bash
# kfp.local runs both branches of an If/Else and skips a lone If whose condition is true; every run is a SUCCESS.
#
# Versions: kfp 2.16.1 (wrong) and kfp 2.17.3 (right).
#
# Expected: `kfp.local`, which is for trying a pipeline before it is submitted, evaluates `dsl.If` as a cluster does, or
#   refuses the pipeline as it refuses other things that it cannot run.
#
# Seen: 2.16.1 evaluates no condition. What runs depends on the shape: a lone If at the root is dropped although it is
#   true, If and Else both run, and an If in a nested pipeline runs although it is false. Neither a warning nor an error
#   is logged, and pipeline and tasks end with the status SUCCESS.
#
# Output seen:
#   kfp 2.16.1
#   a true If: nothing
#   a false If with its Else: reject, release
#   a false If in a nested pipeline: deploy
#   kfp 2.17.3
#   a true If: accept
#   a false If with its Else: reject
#   a false If in a nested pipeline: nothing
#
# Why it matters here: a condition is how a pipeline keeps a bad model from being released. On a laptop or in CI the
#   release runs whatever was measured. OpenShift AI documents kfp 2.16 for its 3.4 and 3.5 servers, so the pin is usual.
#
# Upstream: the same symptom was kubeflow/pipelines issue 6705 for the local client of kfp 1.8, closed as stale in 2021.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PYTHON'
import sys
from pathlib import Path

import kfp
from kfp import dsl, local

LOG = Path(sys.argv[1]) / "ran.txt"


@dsl.component(install_kfp_package=False)
def measure() -> float:
    return 0.6


@dsl.component(install_kfp_package=False)
def note(log: str, text: str):
    with open(log, "a") as file:
        file.write(f"{text}\n")


@dsl.pipeline
def lone(log: str):
    with dsl.If(measure().output < 0.9):
        note(log=log, text="accept")


@dsl.pipeline
def two_branches(log: str):
    measured = measure()
    with dsl.If(measured.output >= 0.9):
        note(log=log, text="release")
    with dsl.Else():
        note(log=log, text="reject")


@dsl.pipeline
def inner(log: str, auc: float):
    with dsl.If(auc >= 0.9):
        note(log=log, text="deploy")


@dsl.pipeline
def outer(log: str):
    inner(log=log, auc=measure().output)


local.init(local.SubprocessRunner(use_venv=False), pipeline_root=f"{sys.argv[1]}/root", raise_on_error=True)
ran = []
for pipeline in (lone, two_branches, outer):
    LOG.write_text("")
    pipeline(log=str(LOG))
    ran.append(", ".join(sorted(LOG.read_text().split())) or "nothing")
print(f"kfp {kfp.__version__}")
for shape, tasks in zip(("a true If", "a false If with its Else", "a false If in a nested pipeline"), ran):
    print(f"{shape}: {tasks}")
expected = {"2.16.1": ["nothing", "reject, release", "deploy"], "2.17.3": ["accept", "reject", "nothing"]}
if ran != expected[kfp.__version__]:
    sys.exit(f"changed: kfp {kfp.__version__} ran {ran}")
PYTHON
for version in 2.16.1 2.17.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kfp==$version"
  if ! "$folder/venv/bin/python" -u -W ignore "$folder/run.py" "$folder" > "$folder/log" 2>&1; then
    tail -n 1 "$folder/log" >&2
    exit 1
  fi
  tail -n 4 "$folder/log"
done
