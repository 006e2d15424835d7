#!/usr/bin/env bash
# A CPU limit taken from a pipeline parameter is not handed into a KFP block: ExitHandler, If, ParallelFor.
#
# Versions: kfp 2.16.1 and kfp 2.17.3 (the newest when this was written).
#
# Expected: `task.set_cpu_limit(cpu)` with a pipeline parameter works wherever the task stands, as an argument does:
#   kfp hands a parameter that a task uses into each block around the task.
#
# Seen: outside a block all is wired. Inside one the task asks its block for `pipelinechannel--cpu`, but the block
#   neither declares nor receives such an input, so the reference points nowhere. The compiler reports no error and
#   loads its own file again. If any argument of any task in the block uses the same parameter, it works by accident.
#
# Output seen (the same for both versions):
#   no block: task reads cpu, its parent has it: yes
#   ExitHandler: task reads pipelinechannel--cpu, its parent has it: no
#   If: task reads pipelinechannel--cpu, its parent has it: no
#   ParallelFor: task reads pipelinechannel--cpu, its parent has it: no
#   ExitHandler with the parameter as an argument too: task reads pipelinechannel--cpu, its parent has it: yes
#
# Why it matters here: limits are what differs between a laptop, a staging namespace with a quota and production, so
#   they are parameters; and a pipeline that must clean up has its tasks in an ExitHandler. The file passes
#   compilation and review. `task.register_pipeline_channels([cpu])`, which arguments go through, wires it.
#
# Upstream: found by reading `set_cpu_limit` in kfp.dsl.pipeline_task, which unlike the constructor records no channel
#   for the compiler's pass over blocks; no issue found. What a backend does with such a file was not tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/compile.py" <<'PYTHON'
import sys

import kfp
import yaml
from kfp import compiler, components, dsl


@dsl.component
def train(rows: str):
    pass


@dsl.component
def clean_up():
    pass


@dsl.pipeline
def no_block(cpu: str = "2"):
    train(rows="all").set_cpu_limit(cpu)


@dsl.pipeline
def exit_handler(cpu: str = "2"):
    with dsl.ExitHandler(clean_up()):
        train(rows="all").set_cpu_limit(cpu)


@dsl.pipeline
def condition(cpu: str = "2", wanted: str = "yes"):
    with dsl.If(wanted == "yes"):
        train(rows="all").set_cpu_limit(cpu)


@dsl.pipeline
def loop(cpu: str = "2"):
    with dsl.ParallelFor(["first", "second"]) as rows:
        train(rows=rows).set_cpu_limit(cpu)


@dsl.pipeline
def by_accident(cpu: str = "2"):
    with dsl.ExitHandler(clean_up()):
        train(rows=cpu).set_cpu_limit(cpu)


def is_wired(pipeline, path):
    compiler.Compiler().compile(pipeline, path)
    components.load_component_from_file(path)
    with open(path) as file:
        spec = yaml.safe_load(file)
    for parent in [spec["root"], *spec["components"].values()]:
        task = parent.get("dag", {}).get("tasks", {}).get("train")
        if task:
            wanted = task["inputs"]["parameters"]["pipelinechannel--cpu"]["componentInputParameter"]
            return wanted, wanted in parent.get("inputDefinitions", {}).get("parameters", {})


seen = []
blocks = {
    "no block": no_block,
    "ExitHandler": exit_handler,
    "If": condition,
    "ParallelFor": loop,
    "ExitHandler with the parameter as an argument too": by_accident,
}
print(f"kfp {kfp.__version__}")
for name, pipeline in blocks.items():
    wanted, wired = is_wired(pipeline, sys.argv[1])
    seen.append(wired)
    print(f"{name}: task reads {wanted}, its parent has it: {'yes' if wired else 'no'}")
if seen != [True, False, False, False, True]:
    sys.exit(f"changed: kfp {kfp.__version__} wires the parameter of a limit differently from what is stated above")
PYTHON
for version in 2.16.1 2.17.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kfp==$version"
  "$folder/venv/bin/python" -W ignore "$folder/compile.py" "$folder/pipeline.yaml"
done
