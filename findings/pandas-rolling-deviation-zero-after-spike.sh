#!/usr/bin/env bash
# After one large value, every later rolling standard deviation of pandas 2 is 0.0 or far off.
#
# Versions: pandas 2.3.3 (wrong) and 3.0.0 (right), numpy 2.3.5.
#
# Expected: `rolling(6).std()` describes the last six values. A spike that left the window long ago has no effect.
#
# Seen: what rounding loses while the spike is inside the window never comes back. Dozens or all of the later deviations
#   are exactly 0.0, as of a constant column, and the others are wrong. Nothing is reported. `rolling().mean()` is right,
#   and so are both in pandas 3.
#
# Output seen (values around 50 with deviation 1, one spike, then 195 windows without it):
#   pandas 2.3.3: spike 1e+09: 195 of 195 are 0.0; spike 1e+12: 47 of 195 are 0.0
#   pandas 3.0.0: spike 1e+09: 0 of 195 are 0.0; spike 1e+12: 0 of 195 are 0.0
#
# Why it matters here: the rolling deviation of a vibration sensor is the feature that shows wear, and one wrong reading
#   of a device, such as the largest float32, makes it constant for the rest of the table. Training needs pandas 3.
#
# Upstream: not reported by us; pandas 3.0 no longer does it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PYTHON'
import sys

import numpy as np
import pandas as pd

counts = {}
for spike in (1e9, 1e12):
    values = pd.Series(np.random.default_rng(0).normal(50, 1, 251))
    values[50] = spike
    later = values.rolling(6).std()[56:]
    counts[spike] = int((later == 0).sum())
text = "; ".join(f"spike {spike:g}: {count} of {len(later)} are 0.0" for spike, count in counts.items())
print(f"pandas {pd.__version__}: {text}")
if any(counts.values()) != (pd.__version__ == "2.3.3"):
    sys.exit(f"changed: pandas {pd.__version__} has {counts} deviations of 0.0")
PYTHON
for version in 2.3.3 3.0.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pandas==$version" numpy==2.3.5
  "$folder/venv/bin/python" "$folder/run.py"
done
