#!/usr/bin/env bash
# KFP loads a compiled pipeline as its component, where both have the same name.
#
# Versions: kfp 2.17.3.
#
# Expected: a pipeline `measure` with the parameters size and cpu, of which the first has a default, and a component
#   `measure` that needs size: the loaded pipeline takes cpu, and needs nothing.
#
# Seen: it has the inputs of the component. cpu is refused as unexpected, and size is missing although it has a
#   default. With another name, the same pipeline takes both. `ComponentSpec.from_ir_dicts` looks for a component of
#   the pipeline's name first, as in a file with one component only.
#
# Output seen:
#   as measure: ['size'], required ['size']
#   as measuring: ['cpu', 'size'], required []
#
# Why it matters here: a pipeline of one stage has its name, as `drift` and `promote`. A local run loads the file that
#   a cluster runs, and `kfp-edge run drift -p cpu=1` ended with a TypeError. A backend reads the file itself, so on a
#   cluster the same parameters work.
#
# Upstream: nothing found.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.3
cat > "$folder/load.py" <<'PYTHON'
import sys

from kfp import compiler, components, dsl


@dsl.component
def measure(size: int):
    pass


def load(name):
    @dsl.pipeline(name=name)
    def pipeline(size: int = 5, cpu: str = "2"):
        measure(size=size).set_cpu_limit(cpu)

    compiler.Compiler().compile(pipeline, sys.argv[1])
    loaded = components.load_component_from_file(sys.argv[1])
    inputs = sorted(loaded.component_spec.inputs)
    required = sorted(loaded.required_inputs)
    print(f"as {name}: {inputs}, required {required}")
    return inputs, required


if load("measure") != (["size"], ["size"]) or load("measuring") != (["cpu", "size"], []):
    sys.exit("changed: a pipeline keeps its parameters whatever its name")
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/load.py" "$folder/pipeline.yaml"
