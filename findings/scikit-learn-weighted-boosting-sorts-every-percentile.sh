#!/usr/bin/env bash
# With sample weights, fitting a histogram-based boosting model costs about thirty times as much in scikit-learn 1.9.
#
# Versions: scikit-learn 1.8.0 (fast) and 1.9.1 (slow), numpy 2.3.5, one OpenMP thread.
#
# Expected: `HistGradientBoostingClassifier` is the estimator for large tables; weights scale gradients, so a weighted
#   fit costs about as much as one without weights, and the same after an update of the library.
#
# Seen: since 1.9 the bins follow the weights, and each of the 254 edges of a column is a weighted percentile that sorts
#   the whole column again, which takes far longer than the trees. Weights of 1.0 for all rows are no exception. Only
#   tables of more than 200,000 rows escape, as rows are drawn by weight first.
#
# Output seen (processor time with weights, relative to that without, for 20,000 rows, 40 columns and one tree):
#   scikit-learn 1.8.0: 1.0
#   scikit-learn 1.9.1: 37.5
#
# Why it matters here: failures are rare, so nearly every failure model has weights, `class_weight="balanced"` included,
#   and a wide table of sensors has a column for each statistic: 1,200 rows of 2,000 columns took 50 s instead of 2 s.
#
# Upstream: scikit-learn/scikit-learn pull request 34248, merged after 1.9.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PYTHON'
import sys
import time

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier

X = np.random.default_rng(0).normal(size=(20_000, 40))
y = (X[:, 0] > 1).astype(int)


def measure(weights):
    model = HistGradientBoostingClassifier(max_iter=1, early_stopping=False)
    start = time.process_time()
    model.fit(X, y, sample_weight=weights)
    return time.process_time() - start


measure(None)  # imports and allocations of the first fit
ratio = measure(np.ones(len(y))) / min(measure(None) for _ in range(3))
print(f"scikit-learn {sklearn.__version__}: {ratio:.1f}")
is_slow = ratio > 5
if is_slow != (sklearn.__version__ == "1.9.1"):
    sys.exit(f"changed: scikit-learn {sklearn.__version__} takes {ratio:.1f} times as long with weights")
PYTHON
for version in 1.8.0 1.9.1; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "scikit-learn==$version" numpy==2.3.5
  OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/run.py"
done
