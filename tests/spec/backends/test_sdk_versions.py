"""Other versions of KFP's packages than those of the lock file: each in an environment of its own."""

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.paths import ROOT

pytestmark = pytest.mark.slow

#: All of kfp 2.17 with what it pins; and kfp 2.16.1 with the packages that a plain `pip install kfp==2.16.1` brings.
REQUIREMENTS = {
    "kfp-2.17": ("kfp==2.17.*", "kfp-kubernetes==2.17.*"),
    "kfp-2.16.1-with-2.17": (
        "--no-deps",
        "kfp==2.16.1",
        "kfp-kubernetes==2.16.1",
        "kfp-pipeline-spec==2.17.*",
        "kfp-server-api==2.17.*",
    ),
}
#: What depends on these packages: compiling, messages, the calls of the client; and with a new kfp, the local runner.
TESTS = {
    "kfp-2.17": (
        "tests/spec/backends/test_backends.py",
        "tests/client/server/test_kfp_api.py",
        "tests/local/test_exit_tasks.py",
        "tests/local/test_local.py",
        "tests/local/test_loops.py",
    ),
    "kfp-2.16.1-with-2.17": ("tests/spec/backends/test_backends.py", "tests/client/server/test_kfp_api.py"),
}
_NO_INDEX = ("Could not find a version", "No matching distribution", "Connection", "Temporary failure")


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its name above, its folder and its Python."""

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


@pytest.fixture(scope="module", params=REQUIREMENTS)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with other versions, and with everything else from this one."""
    made = Environment(request.param, tmp_path_factory.mktemp("environment"))
    venv.create(made.folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, *REQUIREMENTS[made.name]], capture_output=True, text=True, check=False)
    if installed.returncode and any(text in installed.stderr for text in _NO_INDEX):
        pytest.skip(f"no package index has it: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    (packages,) = made.folder.glob("lib/python*/site-packages")
    here = sysconfig.get_paths()["purelib"]
    # its own packages stand before those of this environment
    packages.joinpath("this_environment.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    return made


def test_pipelines_are_compiled_and_run_with_other_versions(environment: Environment) -> None:
    tests = subprocess.run(
        [environment.python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS[environment.name]],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout


def test_the_versions_are_those_of_the_environment(environment: Environment) -> None:
    code = "import kfp.pipeline_spec as s, kfp_server_api as a; print(s.__file__, a.__file__)"
    done = subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True)
    assert all(Path(file).is_relative_to(environment.folder) for file in done.stdout.split())
