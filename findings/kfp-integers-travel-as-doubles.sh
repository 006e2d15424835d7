#!/usr/bin/env bash
# KFP changes integers: large ones lose digits when a pipeline is compiled, nested ones arrive as floats on a laptop.
#
# Versions: kfp 2.16.1 and kfp 2.17.3 (the newest when this was written).
#
# Expected: a parameter annotated `int`, for which KFP has a type NUMBER_INTEGER, arrives as the integer that was
#   given, or is refused; the integers in a `dict` or a `list` parameter stay integers, as in JSON.
#
# Seen: the pipeline spec holds each value as a protobuf Value, which knows doubles only. The compiler rounds an integer
#   above 2**53 to the next double, with no warning, before any backend is involved. `kfp.local` converts
#   a NUMBER_INTEGER back, so that it still looks like an integer, but not what is nested: `range(options["trees"])`
#   is a TypeError.
#
# Output seen (the same for both versions):
#   given 9007199254740993 {'trees': 100} [3]
#   compiled defaultValue: 9007199254740992.0
#   arrived 9007199254740992 {'trees': 100.0} [3.0]
#
# Why it matters here: serial numbers of machines, nanosecond times and 64-bit seeds are above 2**53; the neighbouring
#   machine's number is as valid as the right one. Hyperparameters are a dict, and scikit-learn refuses
#   `n_estimators=100.0`. Hand large identifiers over as texts, and convert nested counts in the component.
#
# Upstream: kubeflow/pipelines issue 11004 (nested integers under kfp.local, 2024, closed as stale); the Value type came
#   with pull request 6804 in 2021. Nothing found on the rounding.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PYTHON'
import sys

import kfp
import yaml
from kfp import compiler, dsl, local

SERIAL, OPTIONS, WINDOWS = 9007199254740993, {"trees": 100}, [3]


@dsl.component(install_kfp_package=False)
def show(serial: int, options: dict, windows: list) -> str:
    return f"{serial} {options} {windows}"


@dsl.pipeline
def train(serial: int = SERIAL, options: dict = OPTIONS, windows: list = WINDOWS) -> str:
    return show(serial=serial, options=options, windows=windows).output


folder = sys.argv[1]
compiler.Compiler().compile(train, f"{folder}/pipeline.yaml")
with open(f"{folder}/pipeline.yaml") as file:
    compiled = yaml.safe_load(file)["root"]["inputDefinitions"]["parameters"]["serial"]["defaultValue"]
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=f"{folder}/root")
arrived = train().output
print(f"kfp {kfp.__version__}")
print(f"given {SERIAL} {OPTIONS} {WINDOWS}")
print(f"compiled defaultValue: {compiled:.1f}")
print(f"arrived {arrived}")
if compiled != SERIAL - 1 or arrived != f"{SERIAL - 1} {{'trees': 100.0}} [3.0]":
    sys.exit(f"changed: kfp {kfp.__version__} rounds {SERIAL} to {compiled} and delivers {arrived}")
PYTHON
for version in 2.16.1 2.17.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kfp==$version"
  if ! "$folder/venv/bin/python" -u -W ignore "$folder/run.py" "$folder" > "$folder/log" 2>&1; then
    tail -n 1 "$folder/log" >&2
    exit 1
  fi
  tail -n 4 "$folder/log"
done
