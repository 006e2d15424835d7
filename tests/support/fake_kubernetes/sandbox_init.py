"""Started by `sandbox` in namespaces of its own: lays out a root, moves into it and becomes a container.

Standard library only, and run with nothing else on its path. Its argument is the number of a file descriptor
from which it reads, as JSON, what it is to do.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

#: What a container runtime says, with this exit code, when a container cannot start (Kubernetes: StartError).
START_ERROR = 128
_TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_WRITABLE = ("tmp", "var/tmp")
_EMPTY = ("var/lib", "var/cache", "run", "root", "home", "mnt", "proc", "dev", "sys", "old-root")
# Programs and libraries; on a system with a merged /usr the others are links into it.
_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")


def main() -> None:
    """Become the program of the container; end with START_ERROR and a sentence if that is not possible."""
    with os.fdopen(int(sys.argv[1])) as source:
        wanted = json.load(source)
    try:
        _lay_out(Path(wanted["root"]), wanted["mounts"])
        _move_into(wanted["root"])
        os.chdir(wanted["workdir"])
        _become(wanted)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"failed to start the container: {error}", file=sys.stderr, flush=True)
    os._exit(START_ERROR)


def _lay_out(root: Path, mounts: list[dict[str, Any]]) -> None:
    for name in (*_EMPTY, *_WRITABLE):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _WRITABLE:
        (root / name).chmod(0o1777)
    _mount("--bind", root, root)  # a root has to be a mount
    for name in _PROGRAMS:
        _give_programs(Path("/", name), root / name)
    _tool("cp", "--archive", "/etc", root)
    _mount("--types", "proc", "proc", root / "proc")
    for name in ("dev", "sys"):
        _mount("--rbind", f"/{name}", root / name)
    # parents before what is mounted inside them
    for mount in sorted(mounts, key=lambda one: one["path"].count("/")):
        _give(Path(mount["source"]), root / mount["path"].lstrip("/"), mount["read_only"])


def _give_programs(here: Path, there: Path) -> None:
    if here.is_symlink():
        there.symlink_to(here.readlink())
    elif here.is_dir():
        _give(here, there, read_only=True)


def _give(here: Path, there: Path, read_only: bool) -> None:
    if here.is_dir():
        there.mkdir(parents=True, exist_ok=True)
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
    _mount("--bind", here, there)
    if read_only:
        _mount("--options", "remount,bind,ro", there)


def _move_into(root: str) -> None:
    """Make the folder the root of this mount namespace: in a chroot, nobody may make a user namespace."""
    os.chdir(root)
    _tool("pivot_root", ".", "old-root")
    os.chdir("/")
    _tool("umount", "--lazy", "/old-root")
    Path("/old-root").rmdir()


def _become(wanted: dict[str, Any]) -> None:
    command, environment = wanted["command"], wanted["environment"]
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise FileNotFoundError(f'exec: "{command[0]}": executable file not found in $PATH')
    kept = [f"+{name.lower()}" for name in wanted["capabilities"]]
    limits = ["--bounding-set", ",".join(["-all", *kept]), "--inh-caps=-all"]
    user = [] if wanted["user"] == 0 else [f"--reuid={wanted['user']}", "--regid=0", "--clear-groups"]
    setpriv = ["setpriv", *limits, *user, "--", program, *command[1:]]
    os.execve("/usr/bin/setpriv", setpriv, environment)


def _mount(*args: str | Path) -> None:
    _tool("mount", *args)


def _tool(*args: str | Path) -> None:
    subprocess.run([str(arg) for arg in args], env=_TOOLS, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
