"""A process that imports the libraries of the stages once and forks itself for every stage, which then starts at once.

python -m kfp_edge.local.fork_server FD, where FD is its end of a socket pair; `kfp_edge.local.fork_client` has the
other one. A request is one byte with three file descriptors: the stage's command, folder and environment as JSON, its
output, and a pipe for its process id and, when it has ended, its exit code. The server ends when the other end is
closed.

A thread would be missing in a forked process, with whatever it holds locked. So the server has only its main thread:
nothing here runs a model or opens a connection, and the environment of `fork_client` keeps libraries from starting
threads when they are imported. OpenBLAS stops its threads before a fork and starts them again when it needs them. If
there is another thread nevertheless, the server ends, and the stages start Python themselves.
"""

import atexit
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import re
import selectors
import signal
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NoReturn, TextIO

#: The stages that begin a pipeline, or need most libraries, in their order.
_FIRST_STAGES = ("preflight", "ingest", "train", "export", "verify")
_STAGE_MODULES = re.compile(r"^ +from (kfp_edge\.\S+) import", re.MULTILINE)


def preloaded_modules() -> list[str]:
    """Return KFP's executor and what the components of kfp-edge import when they run, without importing any of it."""
    package = importlib.util.find_spec("kfp_edge.components")
    folders = package.submodule_search_locations if package is not None else None
    files = {path.parent.name: path for folder in folders or () for path in Path(folder).glob("*/component.py")}
    stages = dict.fromkeys((*_FIRST_STAGES, *sorted(files)))
    modules = [name for stage in stages for name in _STAGE_MODULES.findall(files[stage].read_text(encoding="utf-8"))]
    return ["kfp.dsl.executor_main", *dict.fromkeys(modules)]


class ForkServer:
    """Imports the libraries, forks a process for every request, and reports how each of them ended."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)

    def serve(self) -> None:
        """Import a module after another while there is no request; return when the other end is closed."""
        modules = preloaded_modules()
        while True:
            for key, _ in self._selector.select(timeout=0 if modules else None):
                if key.fileobj is not self._requests:
                    self._report_end(key)
                elif not self._fork():
                    return
            if modules:
                with contextlib.suppress(ImportError):  # the stage that needs it reports it
                    importlib.import_module(modules.pop(0))

    def _fork(self) -> bool:
        """Start the stage of one request; return False if there are no more requests, or none can be served."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, 1, 3)
        if not message or not _is_single_threaded():
            return False
        gc.freeze()  # a garbage collection in the stage would copy all memory that it shares with the server
        # Python would lose an interrupt that arrives before the stage can handle it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            self._run_stage(*descriptors)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        command, output, status = descriptors
        os.close(command)
        os.close(output)
        os.setpgid(pid, pid)  # the stage does so too: whichever is first
        _report(status, pid)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
        return True

    def _report_end(self, key: selectors.SelectorKey) -> None:
        pid, status = key.data
        self._selector.unregister(key.fileobj)
        os.close(key.fd)
        _, wait_status = os.waitpid(pid, 0)
        _report(status, os.waitstatus_to_exitcode(wait_status))
        os.close(status)

    def _run_stage(self, command: int, output: int, status: int) -> NoReturn:
        """Become the process of a stage: a process group with its own output, folder, environment and arguments."""
        code = 1
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started with `&`
            os.dup2(output, sys.stdout.fileno())
            os.dup2(output, sys.stderr.fileno())
            self._close_descriptors(output, status)
            with os.fdopen(command) as file:
                code = _execute(file)
        finally:
            # Not sys.exit: taking down the interpreter would copy all that is shared with the server, to free it.
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _close_descriptors(self, *others: int) -> None:
        """Close what a stage has inherited: the server's requests, and what it knows of other stages."""
        for key in self._selector.get_map().values():
            os.close(key.fd)
            if key.data is not None:
                os.close(key.data[1])
        self._selector.close()
        for descriptor in others:
            os.close(descriptor)


def _is_single_threaded() -> bool:
    """Whether a fork is safe; a trial lets libraries stop the threads that they can start again."""
    if _count_threads() > 1:
        trial = os.fork()
        if trial == 0:
            os._exit(0)
        os.waitpid(trial, 0)
    return _count_threads() == 1


def _count_threads() -> int:
    """Return how many threads this process has, those of libraries included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _report(status: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the worker is gone; the next request will be the end of the file
        os.write(status, f"{number}\n".encode())


def _execute(command: TextIO) -> int:
    """Run the component as KFP's command does, and return the exit code of its process."""
    from kfp.dsl import executor_main

    request = json.load(command)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"], _KFP_RUNTIME="true")
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with tempfile.TemporaryDirectory() as folder:
            module = Path(folder, "ephemeral_component.py")
            module.write_text(request["source"], encoding="utf-8")
            sys.argv = [executor_main.__file__, "--component_module_path", str(module), *request["arguments"]]
            executor_main.executor_main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        return 130
    except Exception:  # noqa: BLE001 - as Python does at the end of a program
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve()
