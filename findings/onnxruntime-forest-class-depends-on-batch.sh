#!/usr/bin/env bash
# One row of a random forest gets one class when it is asked alone, and another one among other rows.
#
# Versions: onnxruntime 1.32.0, skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, numpy 2.4.6, protobuf 6.33.6.
#
# Expected: a model is a function of the row. One session, one thread count, one provider, the same bytes in: the same
#   class out, however many rows share the request. And a probability is within 0 and 1.
#
# Seen: onnxruntime adds up the votes in single precision, and the order depends on the number of rows and of threads:
#   by tree for a large batch, row by row otherwise. Where the trees' votes are even, the last bit decides
#   the class: scikit-learn adds in double precision and always takes the first class. Some probabilities are
#   1.0000001 and -0.0000001, and scikit-learn's `log_loss` and `brier_score_loss` refuse them with a ValueError.
#
# Output seen:
#   1 thread: of 1000 rows 0 have another class alone than in one batch, 8 another one than in scikit-learn
#   2 threads: of 1000 rows 8 have another class alone than in one batch, 0 another one than in scikit-learn
#   rows whose trees vote evenly: 8, among them all of the above: True
#   probabilities from -1.192e-07 to 1.0000001; log_loss: y_prob contains values greater than 1: 1.0000001192092896
#
# Why it matters here: a model is tested in batches on a machine with cores to spare and asked row by row on one core
#   at the edge. Recorded answers differ though nothing is broken, and with few, fully grown trees on coarse sensor
#   values even votes are not rare. An odd number of trees helps, and comparing labels only where the margin is not 0.
#
# Upstream: known in parts: microsoft/onnxruntime issue 10058 (batch against single row, for other operators) and
#   onnx/sklearn-onnx pull request 577 (order of trees). No mention found of the class depending on the batch.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 protobuf==6.33.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss

generator = np.random.default_rng(0)
X = generator.normal(size=(2000, 4)).round(1).astype(np.float32)
y = (X[:, 0] + generator.normal(size=2000) > 0).astype(int)
X, y = X[:1000], y[:1000]
forest = RandomForestClassifier(n_estimators=20, random_state=0).fit(X, y)
model = to_onnx(forest, X[:1], options={"zipmap": False}).SerializeToString()
predicted = forest.predict(X)
even = forest.predict_proba(X)[:, 0] == 0.5

alone_differs = {}
explained = True
for threads in (1, 2):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batch, probabilities = session.run(None, {"X": X})
    alone = np.concatenate([session.run(["label"], {"X": X[i : i + 1]})[0] for i in range(len(X))])
    alone_differs[threads] = (alone != batch).sum()
    explained &= not ((alone != batch) | (batch != predicted))[~even].any()
    print(
        f"{threads} thread{'s'[: threads - 1]}: of {len(X)} rows {alone_differs[threads]} have another class alone than"
        f" in one batch, {(batch != predicted).sum()} another one than in scikit-learn"
    )
print(f"rows whose trees vote evenly: {even.sum()}, among them all of the above: {explained}")
try:
    refused = f"{log_loss(y, probabilities):.3f}"
except ValueError as error:
    refused = str(error)
print(f"probabilities from {probabilities.min():.3e} to {probabilities.max():.7f}; log_loss: {refused}")
if alone_differs[1] != 0 or alone_differs[2] == 0:
    sys.exit("changed: with 2 threads a row alone and in a batch of 1000 have the same class")
PYTHON
