#!/usr/bin/env bash
# A random forest of two classes gives negative probabilities and other labels in onnxruntime 1.26 and 1.27.
#
# Versions: onnxruntime 1.27.0 (1.26.0 does the same; 1.22 to 1.25 and 1.28 to 1.32 do not), skl2onnx 1.20.0,
#   scikit-learn 1.9.1, onnx 1.23.2, numpy 2.4.6, protobuf 6.33.6.
#
# Expected: a TreeEnsembleClassifier of two classes whose leaves hold the votes of one class answers [1 - p, p], as it
#   did in every version before, and as the same forest of three classes does.
#
# Seen: it answers [-p, p], and its label is the second class wherever p is above 0. No error, no warning. Regressors,
#   three classes, and boosted trees, which end in a sigmoid, are right: only leaves that are probabilities are not.
#
# Output seen:
#   onnxruntime 1.27.0: 700 of 700 rows have other probabilities than in scikit-learn, such as [-0.62  0.62] for [0.38 0.62]
#   labels of 369 rows are another class
#
# Why it matters here: the forest is the most usual model that users bring, and a device has whatever version its image
#   was built with. The samples of a bundle notice it, as the server replays them at start, but a model that came as ONNX
#   has its samples from the runtime that verified it. So both distributions exclude 1.26 and 1.27.
#
# Upstream: microsoft/onnxruntime issue 28557 names 1.26.0 only.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.27.0 numpy==2.4.6 protobuf==6.33.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier

generator = np.random.default_rng(0)
X = generator.normal(size=(700, 4)).astype(np.float32)
y = (X[:, 0] + generator.normal(size=700) > 0).astype(int)
forest = RandomForestClassifier(20, max_depth=4, random_state=0).fit(X, y)
model = to_onnx(forest, X[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
label, probabilities = session.run(None, {"X": X})
expected = forest.predict_proba(X)
differs = (np.abs(probabilities - expected) > 1e-4).any(axis=1)
with np.printoptions(precision=2, suppress=True):
    print(
        f"onnxruntime {onnxruntime.__version__}: {differs.sum()} of {len(X)} rows have other probabilities than in "
        f"scikit-learn, such as {probabilities[0]} for {expected[0]}"
    )
print(f"labels of {(label != forest.predict(X)).sum()} rows are another class")
if not differs.any():
    sys.exit("changed: all probabilities are those of scikit-learn")
PYTHON
