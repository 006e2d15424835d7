"""Runs inside the image being built: compiles the modules that the server loads at start.

Without them a container that may write nowhere compiles every module at each start, which takes four times as long.
Only what is loaded is compiled, into the tree that PYTHONPYCACHEPREFIX names; the rest would add bytes for nothing.
"""

import importlib.util
import py_compile
import subprocess
import sys

_LOADED = """
import sys
import kfp_edge_serving.__main__, kfp_edge_serving.server
import encodings.idna, runpy
import uvicorn.lifespan.off, uvicorn.loops.uvloop, uvicorn.protocols.http.httptools_impl
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None) or ""
    if path.endswith(".py"):
        print(path)
"""


def main() -> None:
    """Compile every module, each in the same order, so that the bytes are the same each time."""
    listed = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True).stdout
    for path in sorted(set(listed.split())):
        target = importlib.util.cache_from_source(path)
        # the files of an image never change, so nothing needs to be compared when a module is loaded
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(path, cfile=target, doraise=True, invalidation_mode=mode)


if __name__ == "__main__":
    main()
