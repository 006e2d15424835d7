#!/usr/bin/env bash
# KFP's compiler writes one in fifty short commit hashes so that YAML 1.2 reads a number.
#
# Versions: kfp 2.17.3 with PyYAML 6.0.3, read with ruamel.yaml 0.19.1.
#
# Expected: a parameter annotated `str` whose default is the text 12345e7 compiles to YAML in which every reader finds
#   a text; the all-digit hash 1234567 does compile to a quoted text.
#
# Seen: the hash stands unquoted in the file. kfp writes with PyYAML, which follows YAML 1.1: there an exponent needs a
#   dot and a sign, so 12345e7 is a text and needs no quotes. In YAML 1.2 it is a float. kfp loads its own
#   file and finds a text again, so no test in Python notices.
#
# Output seen:
#   defaultValue: '1234567'
#   defaultValue: 12345e7
#   PyYAML reads '12345e7' and '1234567', ruamel.yaml reads 123450000000.0 and '1234567'
#   of 100000 random hashes of 7 digits 1875 are digits around one e
#
# Why it matters here: versions and image tags are short commit hashes, and what reads the file is written in Go:
#   sigs.k8s.io/yaml 1.6.0, tried by hand, turns `v: 12345e7` into the JSON {"v":123450000000}. The same holds for
#   Kubernetes manifests and kustomizations written with PyYAML. So about every fiftieth commit fails, and a retry
#   with the next commit works. A prefix that is no digit (`g12345e7`, as `git describe` writes it) avoids it.
#
# Upstream: PyYAML by design, yaml/pyyaml issues 173, 393 and 860, the first of 2018; nothing found about KFP.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.3 pyyaml==6.0.3 ruamel.yaml==0.19.1
cat > "$folder/compile.py" <<'PYTHON'
import random
import re
import sys

import yaml
from kfp import compiler, dsl
from ruamel.yaml import YAML


@dsl.component
def deploy(commit: str):
    pass


@dsl.pipeline
def release(commit: str = "12345e7", before: str = "1234567"):
    deploy(commit=commit)
    deploy(commit=before)


def defaults(spec):
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    return parameters["commit"]["defaultValue"], parameters["before"]["defaultValue"]


compiler.Compiler().compile(release, sys.argv[1])
with open(sys.argv[1]) as file:
    text = file.read()
for line in re.findall(r"defaultValue: .*1234.*", text):
    print(line)
old, new = defaults(yaml.safe_load(text)), defaults(YAML(typ="safe").load(text))
print(f"PyYAML reads {old[0]!r} and {old[1]!r}, ruamel.yaml reads {new[0]!r} and {new[1]!r}")
generator = random.Random(0)
hashes = ["".join(generator.choices("0123456789abcdef", k=7)) for _ in range(100_000)]
numbers = sum(bool(re.fullmatch("[0-9]+e[0-9]+", text)) for text in hashes)
print(f"of {len(hashes)} random hashes of 7 digits {numbers} are digits around one e")
if old[0] != "12345e7" or new != (123450000000.0, "1234567"):
    sys.exit("changed: kfp quotes a text that YAML 1.2 takes for a number")
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/compile.py" "$folder/pipeline.yaml"
