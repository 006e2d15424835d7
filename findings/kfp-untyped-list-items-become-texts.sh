#!/usr/bin/env bash
# The items of a `list` parameter are texts in a loop, and a task that takes whole numbers gets them without an error.
#
# Versions: kfp 2.16.1 and kfp 2.17.3 (the newest when this was written).
#
# Expected: `for` each item of `items: list = [1, 2]` a task that takes an `int` gets the item as it is, as a task that
#   takes the whole list does. Or the compiler refuses the pipeline, as it refuses a `str` parameter for this task.
#
# Seen: the loop declares its item as STRING, and hands it to the input of the type NUMBER_INTEGER. The compiler, which
#   compares the types of all other arguments, reports nothing. With `list[int]` the item is declared NUMBER_INTEGER.
#
# Output seen (the same for both versions):
#   list: the item is declared STRING, the task takes NUMBER_INTEGER, the compiler reports nothing
#   list[int]: the item is declared NUMBER_INTEGER, the task takes NUMBER_INTEGER, the compiler reports nothing
#   a str parameter: the compiler refuses it
#
# Why it matters here: the run fails after everything before the loop is done. On a real backend (KFP 2.16.1) its driver
#   made a text of each item, and ended with `input parameter "n" type mismatch: expect NUMBER_INTEGER, got string`.
#   Declare the type of the items wherever a list is looped over.
#
# Upstream: `verify_type_compatibility` in kfp.dsl.types.type_utils relaxes the comparison for items of loops that are
#   declared STRING, as a workaround for information that is lost during compilation; no issue found.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/compile.py" <<'PYTHON'
import sys

import kfp
import yaml
from kfp import compiler, dsl


@dsl.component(base_image="python:3.12")
def use(n: int):
    pass


@dsl.pipeline
def untyped(items: list = [1, 2]):
    with dsl.ParallelFor(items) as item:
        use(n=item)


@dsl.pipeline
def typed(items: list[int] = [1, 2]):
    with dsl.ParallelFor(items) as item:
        use(n=item)


def types_of(pipeline, path):
    compiler.Compiler().compile(pipeline, path)
    with open(path) as file:
        components = yaml.safe_load(file)["components"]
    loop = components["comp-for-loop-1"]["inputDefinitions"]["parameters"]["pipelinechannel--items-loop-item"]
    return loop["parameterType"], components["comp-use"]["inputDefinitions"]["parameters"]["n"]["parameterType"]


print(f"kfp {kfp.__version__}")
seen = {}
for name, pipeline in {"list": untyped, "list[int]": typed}.items():
    seen[name] = types_of(pipeline, sys.argv[1])
    item, task = seen[name]
    print(f"{name}: the item is declared {item}, the task takes {task}, the compiler reports nothing")
try:

    @dsl.pipeline
    def text(n: str = "1"):
        use(n=n)

    seen["str"] = "taken"
except dsl.types.type_utils.InconsistentTypeException:
    seen["str"] = "refused"
    print("a str parameter: the compiler refuses it")
if seen != {
    "list": ("STRING", "NUMBER_INTEGER"),
    "list[int]": ("NUMBER_INTEGER", "NUMBER_INTEGER"),
    "str": "refused",
}:
    sys.exit(f"changed: kfp {kfp.__version__} declares the items of a loop differently from what is stated above")
PYTHON
for version in 2.16.1 2.17.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kfp==$version"
  "$folder/venv/bin/python" -W ignore "$folder/compile.py" "$folder/pipeline.yaml"
done
