#!/usr/bin/env bash
# An optional input artifact of a KFP component works on a laptop and fails in every pod of a real backend.
#
# Versions: kfp 2.16.1 and kfp 2.17.3 (the newest when this was written), Python 3.11; the driver of KFP 2.16.1.
#
# Expected: `report: Optional[Input[Markdown]] = None` is an artifact that a pipeline may leave out. The compiler
#   takes it and writes `isOptional: true`; a task that gets one finds a Markdown object in `report`.
#
# Seen: the executor in the pod takes the class of an artifact from the schema title in the driver's message, and only
#   without that from the annotation. `kfp.local` sends the title. The driver of a backend never does: its RuntimeArtifact
#   has name, URI and metadata (`toRuntimeArtifact` in backend/src/v2/metadata/converter.go). So the annotation counts,
#   and nothing strips `Optional` from it: the task ends with a TypeError before the first line of the component. Without
#   `Optional`, `report: Input[Markdown] = None` is compiled to the same interface and works in both.
#
# Output seen (the same for both versions):
#   optional, with the title of kfp.local: Markdown
#   optional, as from a driver: TypeError: Cannot instantiate typing.Union
#   bare, with the title of kfp.local: Markdown
#   bare, as from a driver: Markdown
#
# Why it matters here: every local run and every test of such a component is green, and each run on a cluster fails.
#   `kfp-edge validate` finds it in compiled pipelines (KE018).
#
# Upstream: nothing found in the tracker of kubeflow/pipelines.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PYTHON'
import sys
from typing import Optional

import kfp
from kfp.dsl import Input, Markdown
from kfp.dsl.executor import Executor


def optional(report: Optional[Input[Markdown]] = None):
    pass


def bare(report: Input[Markdown] = None):
    pass


def make_report(function, *, has_title):
    artifact = {"name": "1", "uri": "s3://bucket/report", "metadata": {}}
    if has_title:
        artifact["type"] = {"schemaTitle": "system.Markdown", "schemaVersion": "0.0.1"}
    message = {"inputs": {"artifacts": {"report": {"artifacts": [artifact]}}}, "outputs": {"outputFile": "/dev/null"}}
    try:
        return type(Executor(message, function).get_input_artifact("report")).__name__
    except TypeError as error:
        return f"TypeError: {error}"


seen = [make_report(function, has_title=title) for function in (optional, bare) for title in (True, False)]
print(f"kfp {kfp.__version__}")
print(f"optional, with the title of kfp.local: {seen[0]}")
print(f"optional, as from a driver: {seen[1]}")
print(f"bare, with the title of kfp.local: {seen[2]}")
print(f"bare, as from a driver: {seen[3]}")
if seen != ["Markdown", "TypeError: Cannot instantiate typing.Union", "Markdown", "Markdown"]:
    sys.exit(f"changed: kfp {kfp.__version__} makes {seen}")
PYTHON
for version in 2.16.1 2.17.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kfp==$version"
  if ! "$folder/venv/bin/python" -u -W ignore "$folder/run.py" > "$folder/log" 2>&1; then
    tail -n 1 "$folder/log" >&2
    exit 1
  fi
  cat "$folder/log"
done
