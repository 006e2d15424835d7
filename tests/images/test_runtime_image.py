"""The runtime image of the stages, built by Buildah and run as OpenShift runs it."""

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from yaml import safe_load

from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.podman import podman
from kfp_edge.images.registry import copy_image
from kfp_edge.images.runtime.project import list_sources
from kfp_edge.images.tools.buildah import Buildah
from support.bundles import tiny_bundle
from support.images import layered_image
from support.paths import ROOT

pytestmark = [pytest.mark.containers(storage="machine"), pytest.mark.xdist_group(__name__)]

ARBITRARY_USER = "--user=1000680000:0"
OPENSHIFT = (
    ARBITRARY_USER,
    "--network=none",
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
INGEST = {"data": "synthetic:ai4i?rows=500&seed=0", "target": "", "drop": [], "seed": 0}


def build(name: str, root: Path = ROOT) -> str:
    """Build the image on distribution packages, which a machine without a registry has, and return its id."""
    command = [sys.executable, "-m", "kfp_edge.images", "runtime", "--base=packages", f"--name={name}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Buildah().find_id(name)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Return the name of the image; its dependencies stay in the machine's storage, so that the next build is fast."""
    name = f"localhost/kfp-edge/runtime-test:{uuid.uuid4().hex}"
    try:
        build(name)
        yield name
    finally:
        Buildah().remove(name)


def shell(image: str, command: str, *flags: str) -> str:
    return podman("run", "--rm", *(flags or OPENSHIFT), image, "sh", "-ec", command)


def executor(pipeline: str, stage: str) -> list[str]:
    """Return the command by which the compiled pipeline runs a stage, with a placeholder for its input."""
    document = next(iter(safe_load_documents(ROOT / "compiled" / f"{pipeline}.yaml")))
    container = document["deploymentSpec"]["executors"][f"exec-{stage}"]["container"]
    assert container["args"][:2] == ["--executor_input", "{{$}}"]
    return [*container["command"], *container["args"]]


def safe_load_documents(path: Path) -> list[dict[str, Any]]:
    return [safe_load(text) for text in path.read_text().split("\n---\n")]


def artifact(name: str, kind: str) -> dict[str, Any]:
    return {
        "artifacts": [
            {"name": name, "uri": f"s3://bucket/run/{name}", "type": {"schemaTitle": f"system.{kind}"}, "metadata": {}}
        ]
    }


def run_stage(
    image: str, bucket: Path, command: list[str], inputs: dict[str, Any], kinds: dict[str, str], before: str = "true"
) -> None:
    """Run a stage as KFP does, with a folder in place of the bucket, after a command of the shell."""
    for folder in (bucket, *(path for path in bucket.rglob("*") if path.is_dir())):
        folder.chmod(0o777)  # the user of a pod may write
    outputs = {name: artifact(name, kind) for name, kind in kinds.items()}
    task_input = {"inputs": inputs, "outputs": {"artifacts": outputs, "outputFile": "/s3/output_metadata.json"}}
    words = [json.dumps(task_input) if word == "{{$}}" else word for word in command]
    shell = ("sh", "-ec", f'{before}\nexec "$@"', "sh")
    podman("run", "--rm", *OPENSHIFT, f"--volume={bucket}:/s3", image, *shell, *words)


def test_a_stage_runs_without_a_network_as_any_user_on_a_read_only_root(image: str, tmp_path: Path) -> None:
    kinds = {"train_data": "Dataset", "test_data": "Dataset", "report": "Markdown"}
    run_stage(image, tmp_path, executor("training", "ingest"), {"parameterValues": INGEST}, kinds)
    rows = {name: len(pd.read_parquet(tmp_path / "bucket/run" / name)) for name in ("train_data", "test_data")}
    assert rows == {"train_data": 400, "test_data": 100}
    assert "train_data" in json.loads((tmp_path / "output_metadata.json").read_text())["artifacts"]


def test_gitops_commit_shows_the_reviewer_the_objects_that_kustomize_makes(image: str, tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "bucket/run/bundle", "pump")
    model_image = layered_image(tmp_path / "model", [b"layer"], {})
    released = copy_image(model_image, ImageRepository.parse(f"oci:{tmp_path}/pump"), "1.0.0")
    parameters = {
        "image": f"oci:/s3/pump@{released.digest}",
        "model_name": "pump",
        "model_version": "1.0.0",
        "gitops_repo": "/tmp/gitops.git",
        "gitops_branch": "main",
        "ring": "",
        "gitops_target": {},
        "pull_requests": {},
        "format": "image",
    }
    inputs = {"parameterValues": parameters, "artifacts": {"bundle": artifact("bundle", "Artifact")}}
    empty = "git init --quiet --bare --initial-branch=main /tmp/gitops.git"
    run_stage(image, tmp_path, executor("edge_mlops", "gitops-commit"), inputs, {"change": "Markdown"}, empty)
    change = (tmp_path / "bucket/run/change").read_text()
    assert "## Manifests of site-1" in change
    assert "+kind: Deployment" in change


def test_its_only_program_of_the_packages_is_kubectl(image: str) -> None:
    """The others are scripts that name the Python of the machine that built it."""
    assert shell(image, "ls /opt/kfp-edge/lib/bin && kubectl version --client >/dev/null") == "kubectl\n"


def test_every_module_of_the_project_finds_what_it_imports(image: str) -> None:
    """What only develops the project is not in the image, and nothing that runs may need it."""
    program = (
        "import importlib, pkgutil, kfp_edge, kfp_edge.components, kfp_edge.pipelines\n"
        "for package in (kfp_edge, kfp_edge.components, kfp_edge.pipelines):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if module.name != 'kfp_edge.observability.dashboards.grafana':  # needs the extra dashboards\n"
        "            importlib.import_module(module.name)\n"
    )
    podman("run", "--rm", *OPENSHIFT, image, "python3", "-c", program)


def test_the_command_line_works_in_it(image: str) -> None:
    assert shell(image, "kfp-edge --version").startswith("kfp-edge ")


def test_git_and_skopeo_are_in_it_and_work(image: str) -> None:
    shell(image, "cd /tmp && git init -q r && git -C r -c user.name=a -c user.email=a@b commit -q --allow-empty -m m")
    assert "skopeo version" in shell(image, "skopeo --version && skopeo login --help >/dev/null")


def test_it_knows_the_public_certificates(image: str) -> None:
    count = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert int(podman("run", "--rm", *OPENSHIFT, image, "python3", "-c", count)) > 100


def test_it_has_the_locale_by_which_text_models_change_case(image: str) -> None:
    program = "import locale; print(locale.setlocale(locale.LC_ALL, 'C.UTF-8'))"
    assert podman("run", "--rm", *OPENSHIFT, image, "python3", "-c", program).strip() == "C.UTF-8"


def test_it_has_no_pip(image: str) -> None:
    assert shell(image, "python3 -m pip --version 2>/dev/null || echo none") == "none\n"


def test_its_home_can_be_written_by_any_user_of_group_0(image: str) -> None:
    assert shell(image, "touch $HOME/file && echo $HOME", ARBITRARY_USER, "--network=none") == "/home/kfp-edge\n"


def test_it_does_not_start_as_root(image: str) -> None:
    assert podman("image", "inspect", image, "--format={{.Config.User}}").strip() == "1001:0"


def test_it_names_no_folder_of_the_machine_that_built_it(image: str) -> None:
    assert shell(image, f"grep -rIl {ROOT} /opt/kfp-edge/app || echo none") == "none\n"


def test_the_same_inputs_give_the_same_image(image: str, tmp_path: Path) -> None:
    # from a copy, which nobody edits meanwhile
    for name in (*list_sources(), "requirements.lock"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    names = [f"{image}-{number}" for number in (1, 2)]
    try:
        first, second = [build(name, tmp_path) for name in names]
        assert first == second
    finally:
        for name in names:
            Buildah().remove(name)
