"""`kfp-edge doctor` finds what a machine lacks for a local run, and names a remedy."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import CommandError
from kfp_edge.local import doctor
from kfp_edge.local.doctor import Machine

GIB = 1 << 30
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n'
RUNTIME_ERROR = "crun: setrlimit: Operation not permitted"


class FakeMachine(Machine):
    """A machine with the programs, packages and files that a test sets."""

    system = "Linux"
    python = (3, 12, 1)
    uid = 1000
    user = "ada"

    def __init__(self) -> None:
        self.programs = {
            "git",
            "buildah",
            "podman",
            "skopeo",
            "apt-get",
            "dpkg-deb",
            "newuidmap",
            "newgidmap",
            "kubectl",
        }
        self.packages = {"kfp": "2.16.1", "kfp-pipeline-spec": "2.16.0", "protobuf": "6.33.6"}
        self.files = {
            "/etc/os-release": DEBIAN,
            "/etc/subuid": "ada:100000:65536\n",
            "/etc/subgid": "ada:100000:65536\n",
            "/proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8388608 kB\n",
        }
        self.space = 100 * GIB
        self.broken: tuple[str, ...] = ()
        self.runtimes = {"crun", "runc"}
        self.default_runtime = "crun"
        self.limits_are_low = False

    def is_installed(self, program: str) -> bool:
        return program in self.programs

    def is_in_environment(self, program: str) -> bool:
        return program in self.programs

    def run(self, *args: str) -> str:
        if args[0] in self.broken:
            raise CommandError(f"`{args[0]}` failed with exit code 1: it is damaged", "it is damaged")
        runtime = "runc" if "runc" in args else self.default_runtime
        fails = runtime not in self.runtimes or (self.limits_are_low and "--ulimit" not in args)
        if "--rootfs" in args and fails:
            raise CommandError("`podman run` failed", f"Error: {RUNTIME_ERROR}")
        if "info" in args:
            return f"{self.default_runtime}\n" if "OCIRuntime" in args[-1] else "/home/ada/storage\n"
        return f"{args[0]} version 1.28.2 (image-spec 1.0)"

    def package_version(self, name: str) -> str:
        return self.packages.get(name, "")

    def read(self, path: str) -> str:
        return self.files.get(path, "")

    def free_bytes(self, path: str) -> int:
        return self.space


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


def test_a_complete_machine_needs_no_remedy(machine: FakeMachine) -> None:
    assert [check for check in doctor.run_checks(machine) if check.status != "ok" or check.remedy] == []


@pytest.mark.parametrize("program", ["git", "buildah", "podman", "skopeo"])
def test_a_missing_tool_is_reported_with_the_command_to_install_it(machine: FakeMachine, program: str) -> None:
    machine.programs.discard(program)
    checks = {check.name: check for check in doctor.run_checks(machine)}
    assert checks[program] == Diagnosis(program, "not installed", "missing", f"sudo apt-get install -y {program}")


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "sudo apt-get install -y buildah"),
        ('ID="linuxmint"\nID_LIKE="ubuntu debian"\n', "sudo apt-get install -y buildah"),
        ("ID=fedora\n", "sudo dnf install -y buildah"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install -y buildah"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "sudo zypper install -y buildah"),
        ("ID=arch\n", "install buildah with the package manager of your distribution"),
        ("", "install buildah with the package manager of your distribution"),
    ],
)
def test_the_command_is_that_of_the_distribution(machine: FakeMachine, release: str, command: str) -> None:
    machine.programs.discard("buildah")
    machine.files["/etc/os-release"] = release
    assert doctor.check_buildah(machine).remedy == command


def test_root_needs_no_sudo(machine: FakeMachine) -> None:
    machine.programs.discard("buildah")
    machine.uid = 0
    assert doctor.check_buildah(machine).remedy == "apt-get install -y buildah"


def test_a_tool_that_does_not_run_is_reported_with_its_error(machine: FakeMachine) -> None:
    machine.broken = ("skopeo",)
    check = doctor.check_skopeo(machine)
    assert (check.status, "it is damaged" in check.details) == ("missing", True)


def test_on_macos_the_remedy_is_a_linux_virtual_machine(machine: FakeMachine) -> None:
    machine.system = "Darwin"
    machine.programs.discard("buildah")
    assert doctor.check_system(machine).status == "missing"
    assert "Linux virtual machine" in doctor.check_system(machine).remedy
    assert doctor.check_buildah(machine).remedy == "buildah runs on Linux only; see the check of the system"


@pytest.mark.parametrize(("python", "expected"), [((3, 10, 9), "missing"), ((3, 11, 0), "ok"), ((3, 14, 0), "missing")])
def test_python_is_3_11_to_3_13(machine: FakeMachine, python: tuple[int, int, int], expected: str) -> None:
    machine.python = python
    assert doctor.check_python(machine).status == expected


@pytest.mark.parametrize(
    ("check", "package", "version", "remedy"),
    [
        (doctor.check_kfp, "kfp", "2.17.0", "pip install 'kfp>=2.16.1,<2.17'"),
        (doctor.check_kfp, "kfp", "", "pip install 'kfp>=2.16.1,<2.17'"),
        (doctor.check_pipeline_spec, "kfp-pipeline-spec", "2.17.3", "pip install 'kfp-pipeline-spec>=2.16,<2.17'"),
        (doctor.check_protobuf, "protobuf", "7.0.0rc1", "pip install 'protobuf>=6.31,<7'"),
    ],
)
def test_an_unsupported_package_is_reported_with_what_to_install(
    machine: FakeMachine, check: Callable[[Machine], Diagnosis], package: str, version: str, remedy: str
) -> None:
    machine.packages[package] = version
    assert check(machine) == Diagnosis(package, version or "not installed", "missing", remedy)


def test_runc_suffices_where_crun_fails(machine: FakeMachine) -> None:
    machine.runtimes = {"runc"}
    check = doctor.check_runtime(machine)
    assert check.status == "ok"
    assert check.details == (
        "runc with cgroupfs and lower limits starts a container, as runs do; crun, podman's default, does not"
    )


def test_runc_as_the_default_that_needs_lower_limits_is_not_said_to_fail(machine: FakeMachine) -> None:
    machine.default_runtime = "runc"
    machine.runtimes = {"runc"}
    machine.limits_are_low = True
    check = doctor.check_runtime(machine)
    assert (check.status, check.details) == (
        "ok",
        "runc with cgroupfs and lower limits starts a container, as runs do; podman's defaults do not",
    )


def test_without_a_working_runtime_the_remedy_is_runc(machine: FakeMachine) -> None:
    machine.runtimes = set()
    check = doctor.check_runtime(machine)
    assert (check.status, check.details) == ("missing", f"no container starts: {RUNTIME_ERROR}")
    assert check.remedy.startswith("sudo apt-get install -y runc")


def test_an_installed_runc_is_not_suggested_again(machine: FakeMachine) -> None:
    machine.runtimes = set()
    machine.programs.add("/usr/sbin/runc")
    assert "install" not in doctor.check_runtime(machine).remedy


@pytest.mark.parametrize("setting", ["user.max_user_namespaces", "kernel.unprivileged_userns_clone"])
def test_forbidden_user_namespaces_are_reported_to_an_unprivileged_user_only(
    machine: FakeMachine, setting: str
) -> None:
    machine.files["/proc/sys/" + setting.replace(".", "/")] = "0\n"
    assert doctor.check_user_namespaces(machine).remedy.startswith(f"sudo sysctl -w {setting}=")
    machine.uid = 0
    assert doctor.check_user_namespaces(machine).status == "ok"


@pytest.mark.parametrize("line", ["", "bob:100000:65536\n", "ada:100000:1000\n", "ada:garbage\n"])
def test_too_few_subordinate_ids_are_reported(machine: FakeMachine, line: str) -> None:
    machine.files["/etc/subgid"] = line
    check = doctor.check_subordinate_ids(machine)
    assert check.details == "fewer than 65536 ids for ada in /etc/subgid"
    assert check.remedy.startswith("sudo usermod --add-subuids")


def test_subordinate_ids_may_be_assigned_by_uid_and_in_several_ranges(machine: FakeMachine) -> None:
    machine.files["/etc/subuid"] = "1000:100000:60000\n1000:200000:5536\n"
    assert doctor.check_subordinate_ids(machine).status == "ok"


def test_a_missing_newuidmap_is_reported(machine: FakeMachine) -> None:
    machine.programs.discard("newuidmap")
    assert doctor.check_subordinate_ids(machine).remedy == "sudo apt-get install -y uidmap"


def test_a_full_disk_is_reported_with_its_path_and_the_required_space(machine: FakeMachine) -> None:
    machine.space = GIB // 2
    assert doctor.check_storage(machine).details == "0.5 GiB free in /home/ada/storage"
    assert doctor.check_storage(machine).status == "missing"
    assert doctor.check_folder(machine).remedy.endswith("1.0 GiB are needed")


def test_little_memory_is_a_warning(machine: FakeMachine) -> None:
    machine.files["/sys/fs/cgroup/memory.max"] = str(GIB)
    assert (doctor.check_memory(machine).status, doctor.check_memory(machine).details) == (
        "warning",
        "1.0 GiB available",
    )


def test_a_cgroup_without_a_limit_is_ignored(machine: FakeMachine) -> None:
    machine.files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert doctor.check_memory(machine).details == "8.0 GiB available"


def test_without_debian_packages_the_remedy_is_a_registry(machine: FakeMachine) -> None:
    machine.programs.discard("dpkg-deb")
    assert (doctor.check_serving_base(machine).status, "registry" in doctor.check_serving_base(machine).remedy) == (
        "warning",
        True,
    )


def test_kustomize_is_optional(machine: FakeMachine) -> None:
    machine.programs.discard("kubectl")
    assert doctor.check_kustomize(machine).status == "optional"


def test_kubectl_of_the_environment_renders_though_it_is_not_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_kustomize(Machine()).details == "kubectl renders manifests"


def path_without(program: str, tmp_path: Path) -> str:
    """Return a PATH with every program of the real one except `program`."""
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for file in Path(folder).glob("*"):
            link = tmp_path / file.name
            if file.name != program and os.access(file, os.X_OK):
                link.unlink(missing_ok=True)
                link.symlink_to(file)
    return str(tmp_path)


def kfp_edge_doctor(*args: str, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kfp_edge.cli.app import main; main()", "doctor", *args]
    environment = os.environ | {"PATH": path, "COLUMNS": "200"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_reports_buildah_when_it_is_not_on_the_path(tmp_path: Path) -> None:
    done = kfp_edge_doctor("--json", path=path_without("buildah", tmp_path))
    report = json.loads(done.stdout)
    (buildah,) = [check for check in report["checks"] if check["name"] == "buildah"]
    assert (done.returncode, report["ok"]) == (1, False)
    assert (buildah["details"], buildah["status"]) == ("not installed", "missing")
    assert "buildah" in buildah["remedy"]


@pytest.mark.containers
def test_the_command_succeeds_on_a_machine_that_can_run_the_pipeline() -> None:
    done = kfp_edge_doctor(path=os.environ["PATH"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "container runtime" in done.stdout
