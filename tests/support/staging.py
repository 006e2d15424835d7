"""Programs of bad candidates, and the results in a report of the staging test."""

import re
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 60

CRASHES = "import sys; sys.exit('the model cannot be loaded')"
HANGS = "import time; print('loading', flush=True); time.sleep(600)"
#: Answers every request in the same way; {status} is the status of readiness requests.
ANSWERS = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{{}}'
        self.rfile.read(int(self.headers.get('content-length', 0)))
        self.send_response({status} if self.path.endswith('ready') else 200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
http.server.HTTPServer(('', 8080), Handler).serve_forever()
"""
# replaces the exit code of the server
STOPS_BADLY = """
import os
from kfp_edge_serving.__main__ import main
end = os._exit
os._exit = lambda code: end(4)
main()
"""


def results(report: Path) -> dict[str, str]:
    """Return the result of every check in a report."""
    rows = re.findall(r"^\| (.+?) \| (passed|\*\*failed\*\*) \|", report.read_text(), re.MULTILINE)
    return {name: result.strip("*") for name, result in rows}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)
