#!/usr/bin/env bash
# pytest-xdist's groups have no effect with pytest 9.2, and nothing says so.
#
# Versions: pytest 9.2.0 and 9.1.1, each with pytest-xdist 3.8.0 (the newest release of both when this was written).
#
# Expected: tests marked `xdist_group("storage")` run in one worker under `--dist loadgroup`, with any pytest that
#   xdist's metadata accepts; or xdist refuses, or at least warns.
#
# Seen: with pytest 9.1.1 one worker runs them all, with 9.2.0 both workers share them as if the mark were not there.
#   No warning, exit code 0. xdist passes the group to its scheduler by writing a suffix into `item._nodeid`, a private
#   field that `item.nodeid` no longer reads in pytest 9.2.
#
# Output seen:
#   pytest 9.1.1: 6 passed, warnings: 0, workers of the group: gw0, node id ends with @storage: yes
#   pytest 9.2.0: 6 passed, warnings: 0, workers of the group: gw0 gw1, node id ends with @storage: no
#
# Why it matters here: tests that share one thing of the machine (a container storage, a port range, a GPU) are kept
#   apart by such a group. After a routine update of pytest they run at once and fail at random.
#   A test can guard it: under xdist, `request.node.nodeid` must end with `@` and the group.
#
# Upstream: since pytest 9.2.0; pytest-dev/pytest-xdist issue 1386, open when this was written.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/test_group.py" <<'PYTHON'
import time

import pytest


@pytest.mark.xdist_group("storage")
@pytest.mark.parametrize("number", range(6))
def test_uses_the_storage(number):
    time.sleep(0.2)
PYTHON

# Prints how many workers ran the group.
workers_with() {
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  (cd "$folder" && venv/bin/pytest -v -n 2 --dist loadgroup -p no:cacheprovider test_group.py) > "$folder/log"
  local workers suffix=no
  workers=$(grep -oE '^\[gw[0-9]+\]' "$folder/log" | tr -d '[]' | sort -u | xargs)
  if grep -q '@storage' "$folder/log"; then suffix=yes; fi
  echo "pytest $1: $(grep -oE '[0-9]+ passed' "$folder/log"), warnings: $(grep -ci warning "$folder/log" || true)," \
    "workers of the group: $workers, node id ends with @storage: $suffix" >&2
  wc -w <<< "$workers"
}

before=$(workers_with 9.1.1)
after=$(workers_with 9.2.0)
if [ "$before" -ne 1 ] || [ "$after" -ne 2 ]; then
  echo "changed: $before worker(s) ran the group with pytest 9.1.1 and $after with 9.2.0, instead of 1 and 2" >&2
  exit 1
fi
