#!/usr/bin/env bash
# In a subquery, timestamp() of a selector takes thirty times as long as the selector.
#
# Versions: prometheus 2.42.0+ds-5+deb12u1 (Debian 12's package).
#
# Expected: `max_over_time(timestamp(up)[1d:5m])`, when each series was seen last, costs about what
#   `max_over_time(up[1d:5m])` does: both look at the same 288 steps of the same series.
#
# Seen: a selector is read once, step by step. `timestamp` of a selector begins each series anew at every step and skips
#   all samples before it, so the cost grows with the square of the period. `timestamp(up * 1)` does not.
#   It is another value, the time of the step, which is later by up to the lookback delta of five minutes.
#
# Output seen (500 series of a day, a sample a minute; the fastest of three, in milliseconds):
#   max_over_time(up[1d:5m]): 93
#   max_over_time(timestamp(up)[1d:5m]): 2861
#   max_over_time(timestamp(up * 1)[1d:5m]): 171
#
# Why it matters here: "when was each site seen last" is this query, for all sites that are offline. The status of a
#   fleet asks for exact times of the last hour only.
#
# Upstream: prometheus/prometheus#12579, part of 2.47.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq prometheus=2.42.0+ds-5+deb12u1 2> /dev/null
dpkg -x prometheus_*.deb .

python3 - > samples <<'PY'
import time

end = int(time.time()) // 60 * 60
for series in range(500):
    for moment in range(end - 86_400, end, 60):
        print(f'up{{site="site-{series}"}} 1 {moment}')
print("# EOF")
PY
usr/bin/promtool tsdb create-blocks-from openmetrics samples data > /dev/null
echo "{}" > prometheus.yml

python3 - <<'PY'
import json, socket, subprocess, sys, time, urllib.error, urllib.parse, urllib.request

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
base = f"http://{address}"


def wait_until_ready() -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{base}/-/ready")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit("Prometheus does not start")


def milliseconds(query: str) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with urllib.request.urlopen(f"{base}/api/v1/query", urllib.parse.urlencode({"query": query}).encode()) as answer:
            assert len(json.load(answer)["data"]["result"]) == 500, query
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


command = ["usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
taken = {}
with open("log", "w") as log, subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log) as server:
    try:
        wait_until_ready()
        for expression in ("up", "timestamp(up)", "timestamp(up * 1)"):
            query = f"max_over_time({expression}[1d:5m])"
            taken[expression] = milliseconds(query)
            print(f"{query}: {taken[expression]:.0f}")
    finally:
        server.terminate()
if taken["timestamp(up)"] < 5 * taken["timestamp(up * 1)"]:
    sys.exit("changed: timestamp() of a selector reads each series once")
PY
