#!/usr/bin/env bash
# pip installs the SDK of the oldest Grafana that grafana-foundation-sdk supports, not of the newest.
#
# Versions: grafana-foundation-sdk 1769699998!10.1.0 and 1769699379!11.6.0; pip 23.2.1.
#
# Expected: of versions 10.1.0 to 11.6.0, the highest is 11.6.0: `pip install grafana-foundation-sdk` gets that, and
#   `grafana-foundation-sdk>=11` is 11 or newer.
#
# Seen: both get 10.1.0. A version has the time of its upload as epoch, which counts before anything else, and the
#   releases of one day are uploaded from the newest Grafana to the oldest. So the oldest has the highest epoch. And
#   `>=11` has the epoch 0, which all of them are above; `~=11.6` finds none.
#
# Output seen:
#   the higher version: 1769699998!10.1.0
#   >=11 accepts 1769699998!10.1.0: True
#   ~=11.6 accepts 1769699379!11.6.0: False
#   schema of the dashboards of 1769699998!10.1.0: 36
#   schema of the dashboards of 1769699379!11.6.0: 41
#
# Why it matters here: dashboards written by the wrong SDK lack what panels of the Grafana in use can do, and a newer
#   Grafana migrates them silently. Our pin has the whole version, with its epoch.
#
# Upstream: grafana/grafana-foundation-sdk; the description of each release says to install it with the whole version.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "packaging==25.0"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
from packaging.specifiers import SpecifierSet
from packaging.version import Version

old, new = "1769699998!10.1.0", "1769699379!11.6.0"
print("the higher version:", max(old, new, key=Version))
print(f">=11 accepts {old}:", old in SpecifierSet(">=11"))
print(f"~=11.6 accepts {new}:", new in SpecifierSet("~=11.6"))
PYTHON
for version in '1769699998!10.1.0' '1769699379!11.6.0'; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "grafana-foundation-sdk==$version"
  "$folder/venv/bin/python" - "$version" <<'PYTHON' | tee -a "$folder/seen"
import sys

from grafana_foundation_sdk.builders.dashboard import Dashboard

print(f"schema of the dashboards of {sys.argv[1]}:", Dashboard("a").build().schema_version)
PYTHON
done
grep -qxF 'the higher version: 1769699998!10.1.0' "$folder/seen" &&
  grep -qxF '>=11 accepts 1769699998!10.1.0: True' "$folder/seen" ||
  { echo "changed: the newest Grafana has the highest version"; exit 1; }
