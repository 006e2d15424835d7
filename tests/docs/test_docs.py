"""The documents promise nothing that does not work: every command in them is run here, or is a verb of CI's."""

import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import requests
import yaml
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import LabelEncoder

from kfp_edge.cli.app import app
from kfp_edge.components.train.train import fit
from kfp_edge.ml.skops_model import save_model
from kfp_edge.spec import reference_tables
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling import compiler
from kfp_edge.tasks.task import TrainingOptions
from support.documents import DOCUMENTS, list_commands, read_blocks
from support.failures import make_engines, make_fleet
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes
from support.manifests import rendered
from support.paths import ROOT
from support.tables import anomalies, failures
from support.wear_tables import wear

#: Commands that run on this machine, but for the servers and those of a fleet, of offline sites, of drift, retraining
#: and observability, which files beside this one run; and those that ask a cluster.
_HERE = (
    r"kfp-edge (?!serve |fleet (?!simulate)|run (?:drift|retraining) |observe |submit |schedule |runs|doctor .|mirror )"
)
_THERE = r"kfp-edge (submit|schedule|runs|doctor .)"
EVERYTHING = [*DOCUMENTS, *sorted((ROOT / "components").glob("*/README.md")), ROOT / "serving" / "README.md"]
OPENSHIFT = ROOT / "deploy" / "openshift"
EVERYTHING += [ROOT / "notebooks" / "README.md", OPENSHIFT / "README.md"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A user's folder with the files that the documents name."""
    folder = tmp_path_factory.mktemp("desk")
    machines = failures(3000)
    machines.frame.assign(**{"serial number": range(3000)}).to_csv(folder / "machines.csv", index=False)
    presses = failures(3000, labels=("pass", "fail")).frame.rename(columns={"failed": "result"})
    presses.assign(machine=presses.index // 300).to_csv(folder / "presses.csv", index=False)
    hours = pd.date_range("2025-11-01", periods=3000, freq="h").strftime("%d.%m.%Y %H:%M")
    torque = presses["torque [Nm]"].where(presses.index % 50 > 0, -999)
    export = presses.assign(at=hours, **{"torque [Nm]": torque})
    export.to_csv(folder / "export.csv", sep=";", decimal=",", index=False)
    wear(2000).frame.to_csv(folder / "tools.csv", index=False)
    fleet = make_fleet()
    fleet.rows.to_csv(folder / "telemetry.csv", index=False)
    fleet.failures.to_csv(folder / "breakdowns.csv", index=False)
    make_engines().to_csv(folder / "engines.csv", index=False)
    save_model(fit(machines, TrainingOptions()), folder / "model.skops")
    onnx.save(_make_brought_model(presses), folder / "presses.onnx")
    sensor = anomalies(4000).frame
    moments = [f"2026-01-{1 + row // 1440:02}T{row // 60 % 24:02}:{row % 60:02}:00" for row in range(len(sensor))]
    odd = [moments[row] for row in sensor.index[sensor["odd"] == 1]]
    sensor.drop(columns="odd").assign(at=moments).to_csv(folder / "sensor.csv", index=False)
    (folder / "failures.json").write_text(f'[["{odd[0]}", "{odd[-1]}"]]')
    return folder


def _make_brought_model(presses: pd.DataFrame) -> onnx.ModelProto:
    """Return a model that was trained on encoded labels, as skl2onnx converts it by default."""
    features = presses[["heat [K]", "torque [Nm]"]].to_numpy(np.float32)
    fitted = HistGradientBoostingClassifier(max_iter=20).fit(features, LabelEncoder().fit_transform(presses["result"]))
    return to_onnx(fitted, features[:1])


@pytest.mark.containers
@pytest.mark.xdist_group(__name__)
@pytest.mark.parametrize("command", [command for command in list_commands() if re.match(_HERE, command)])
def test_every_command_in_the_documents_works_as_written(desk, command):
    if command.startswith("kfp-edge validate") or "--check" in command:
        subprocess.run(["kfp-edge", "compile"], cwd=desk, env=_with_venv(), check=True, capture_output=True)
    done = subprocess.run(shlex.split(command), cwd=desk, env=_with_venv(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.containers
@pytest.mark.xdist_group(__name__)
@pytest.mark.parametrize("command", [command for command in list_commands() if command.startswith("kfp-edge serve ")])
def test_every_server_in_the_documents_starts_and_ends(desk, command):
    """On free ports, and after the commands above, whose models it serves; it answers the request of the README."""
    ports = ["--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(
        [*shlex.split(command), *ports], cwd=desk, env=_with_venv(), stdout=subprocess.PIPE
    ) as server:
        ready = next(event for event in map(json.loads, server.stdout) if event["event"] == "ready")
        assert [_post(curl, ready["port"]) for curl in list_commands() if curl.startswith("curl ")] == [200]
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0


def _post(curl: str, port: int) -> int:
    """Send what a curl command sends, on another port, and return the status."""
    _, url, option, body = shlex.split(curl)
    assert option == "-d"
    return requests.post(url.replace(":8080", f":{port}"), data=body, timeout=30).status_code


@pytest.mark.parametrize(
    "command",
    [command for command in list_commands([*DOCUMENTS, OPENSHIFT / "README.md"]) if re.match(_THERE, command)],
)
def test_every_command_for_a_cluster_in_the_documents_works_as_written(tmp_path, command):
    """From a kubeconfig, in a project that was prepared as deploy/openshift says; cluster and server are fakes."""
    (tmp_path / "kfp").mkdir()
    shutil.copy(OPENSHIFT / "parameters.yaml", tmp_path)
    with FakeKubernetes(tmp_path / "kubernetes") as cluster, FakeKfp(tmp_path / "kfp") as server:
        for each in [*_prepared_objects(), _pipeline_server(server.url)]:
            cluster.apply(each)
        env = {**_with_venv(), **cluster.environ(), "KFP_EDGE_TOKEN": server.token}
        env.pop("KUBERNETES_SERVICE_HOST", None)
        done = subprocess.run(shlex.split(command), cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@functools.cache
def _prepared_objects() -> list[dict[str, Any]]:
    """Return what a platform engineer applies: the overlay, and the objects made from the templates."""
    templates = [yaml.safe_load(path.read_text()) for path in sorted((OPENSHIFT / "secrets").glob("*.yaml"))]
    candidate = yaml.safe_load((OPENSHIFT / "secrets/registry.yaml").read_text())
    candidate["metadata"]["namespace"] = "edge-staging"
    return [*rendered(OPENSHIFT / "overlays/example"), *templates, candidate]


def _pipeline_server(url: str) -> dict[str, Any]:
    """Return the server of the manifests that a platform engineer starts from, once it runs."""
    server = yaml.safe_load((ROOT / "deploy/openshift/dspa/dspa.yaml").read_text())
    server["metadata"]["namespace"] = "ds-project"
    return server | {"status": {"components": {"apiServer": {"externalUrl": url, "url": url}}}}


def test_every_other_command_in_the_documents_is_a_verb_of_the_makefile():
    pages = [
        page for page in DOCUMENTS if page.name not in ("fleet-owner.md", "site-operator.md")
    ]  # test_fleet_pages.py
    others = [command for command in list_commands(pages) if not command.startswith(("kfp-edge ", "curl "))]
    verbs = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert others
    assert [command for command in others if command.split() not in [["make", verb] for verb in verbs]] == []


@pytest.mark.parametrize("document", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_within_a_sentence_exists(document):
    verbs = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    commands += [group.name for group in app.registered_groups]
    prose = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"(?:^|\s)(make|kfp-edge) ([a-z]+)", "\n".join(re.findall("`([^`]+)`", prose)), re.MULTILINE)
    known = {"make": verbs, "kfp-edge": commands}
    assert [(program, verb) for program, verb in named if verb not in known[program]] == []


def test_the_parameter_file_in_the_readme_fits_the_pipeline():
    (block,) = read_blocks(ROOT / "README.md", "yaml")
    CompiledPipeline(compiler.compile_to_yaml(compiler.load_pipeline("edge_mlops"))).arguments(yaml.safe_load(block))


@pytest.mark.parametrize("name", compiler.pipeline_names())
def test_every_parameter_is_described(name):
    described = re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "parameters.md").read_text(), re.MULTILINE)
    parameters = CompiledPipeline(compiler.compile_to_yaml(compiler.load_pipeline(name))).parameters
    assert set(parameters) <= set(described)


def test_each_parameter_stands_in_one_section_beside_those_that_belong_to_it():
    described = re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "parameters.md").read_text(), re.MULTILINE)
    assert [name for name in described if described.count(name) > 1] == []
    positions = [described.index(name) for name in ("windows", "target", "test_fraction", "seed", "separator")]
    assert positions == sorted(positions)
    assert described.index("target") == described.index("windows") + 1
    assert described.index("model_version") < described.index("champion")


@pytest.mark.parametrize("document", reference_tables.documents(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tables_of_parameters_are_up_to_date(document):
    text = document.read_text()
    assert reference_tables.update_tables(text) == text, "run `make docs` and commit the result"


def test_every_variable_of_ours_is_described():
    sources = [path for folder in ("kfp_edge", "components", "pipelines") for path in (ROOT / folder).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"\bKFP_EDGE_[A-Z_]+\b", path.read_text())}
    described = "".join((ROOT / path).read_text() for path in ("docs/parameters.md", "serving/README.md"))
    assert sorted(name for name in read if f"`{name}" not in described) == []


@pytest.mark.parametrize("document", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [link for link in links if not link.startswith("https://") and not (document.parent / link).exists()]
    assert missing == []


def _with_venv() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
