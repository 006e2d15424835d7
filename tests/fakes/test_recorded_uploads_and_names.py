"""The fake backend answers uploads and names as the recorded servers did."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import urllib3

from support.fake_kfp import FakeKfp
from support.paths import SHARED
from support.recorded_answers import RecordedAnswer, our_answers, shared_answers

NAMES = (
    "post-pipelines",
    "post-experiments-2",
    "post-experiments-4",
    "post-experiments-5",
    "get-experiments-5",
    "get-experiments-200",
    "get-pipelines-200",
    "get-pipelines-id-versions-200",
    "post-runs-400",
    "post-runs-500-failed-to-create-a-new-run-failed-to-cr",
    "post-runs-500-failed-to-create-a-new-run-internalserv",
)
#: What Argo Workflows says about tasks that wait for each other; the fake has no Argo Workflows.
NOT_SIMULATED = "sorting failed"
#: The first page of a list says whether there are more; a description is optional.
IGNORED = ("next_page_token", "total_size", "description", "pipeline_spec", "namespace")
TYPES = {
    str: "STRING",
    bool: "BOOLEAN",
    int: "NUMBER_INTEGER",
    float: "NUMBER_DOUBLE",
    list: "LIST",
    dict: "STRUCT",
}
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def selected(answers: list[RecordedAnswer]) -> list[RecordedAnswer]:
    return [answer for answer in answers if NOT_SIMULATED not in json.dumps(answer.answer)]


def prepare(server: FakeKfp, record: RecordedAnswer) -> str:
    """Make what the recorded request needs, or collides with, and return its path with the ids of the fake."""
    store, path = server.store, record.path
    if record.answer and record.status == 200 and record.method == "GET":
        store.create_experiment({"display_name": "Default"})
        store.create_pipeline({"name": "edge-mlops"})
    if record.status == 409 and "upload" not in path:
        create = store.create_pipeline if "/pipelines" in path else store.create_experiment
        create(record.request)
    pipeline_id = store.create_pipeline({"name": "other"})["pipeline_id"] if "upload_version" in path else ""
    path = re.sub(r"pipelineid=[^&]+", f"pipelineid={pipeline_id}", path)
    if record.status == 409 and "upload_version" in path:
        send(server, record, path)
    if "/versions" in path:
        path = _ID.sub(store.upload("listed", upload_text("listed"))["pipeline_id"], path)
    return path


def upload_text(name: str, values: Mapping[str, object] = MappingProxyType({})) -> str:
    """Return a pipeline with the parameters that have these values."""
    parameters = {key: {"parameterType": TYPES[type(value)]} for key, value in values.items()}
    root = {"dag": {}, "inputDefinitions": {"parameters": parameters}}
    return json.dumps({"pipelineInfo": {"name": name}, "root": root, "schemaVersion": "2.1.0"})


def request_body(server: FakeKfp, record: RecordedAnswer) -> tuple[bytes, dict[str, str]]:
    if isinstance(record.request, str):
        boundary = record.request.partition("\r\n")[0].removeprefix("--")
        return record.request.encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = json.dumps(record.request)
    if record.path.endswith("/runs"):
        store = server.store
        store.upload("any", upload_text("any", record.request["runtime_config"]["parameters"]))
        (version,) = store.versions.values()
        ids = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
        experiment = store.create_experiment({"display_name": "any"})
        body = json.dumps(
            {**record.request, "experiment_id": experiment["experiment_id"], "pipeline_version_reference": ids}
        )
    return body.encode(), {"Content-Type": "application/json"}


def send(server: FakeKfp, record: RecordedAnswer, path: str) -> urllib3.BaseHTTPResponse:
    body, headers = request_body(server, record) if record.method == "POST" else (None, {})
    headers["Authorization"] = f"Bearer {server.token}"
    return urllib3.request(record.method, server.url + path, body=body, headers=headers, retries=False)


def normalized(text: str) -> str:
    """Return a text without ids, times, what follows `...`, and the rest of a text that cannot be stored."""
    text = re.sub(r"(Incorrect string value: '\\*xF0).*?(for column).*?(at row)", r"\1\2\3", text)
    return _TIME.sub("TIME", _ID.sub("ID", text)).split(" ...")[0].split("\nmain.")[0]


def shape(value: Any) -> Any:
    """Return an answer with its words and without the values that differ each time."""
    match value:
        case dict():
            # what the server returns of a pipeline is compared in the tests of the client
            return {key: shape(item) for key, item in value.items() if key not in ("pipeline_spec", "description")}
        case list():
            return [shape(item) for item in value[:1]]
        case str():
            return normalized(value)
    return value


def names_of(value: Any) -> Any:
    """Return only the names of the fields: lists hold what a server happened to have."""
    match value:
        case dict():
            return {key: names_of(item) for key, item in sorted(value.items()) if key not in IGNORED}
        case list():
            return [names_of(item) for item in value[:1]]
    return ""


def compare(record: RecordedAnswer, folder: Path) -> None:
    with FakeKfp(folder, backend=record.backend) as server:
        if "router" in str(record.answer):
            server.fail(record.method, record.path.partition("?")[0], record.status)
        response = send(server, record, prepare(server, record))
    text = response.data.decode()
    assert response.status == record.status
    assert response.headers["Content-Type"] == record.content_type
    if isinstance(record.answer, str):
        assert text == record.answer
    elif record.method == "GET" and record.status == 200:
        assert names_of(json.loads(text)) == names_of(record.answer)
    else:
        assert shape(json.loads(text)) == shape(record.answer)


@pytest.mark.parametrize("record", selected(our_answers(*NAMES)), ids=lambda record: record.test_id)
def test_the_fake_answers_as_recorded(record: RecordedAnswer, tmp_path: Path) -> None:
    compare(record, tmp_path)


@pytest.mark.skipif(not (SHARED / "recorded").exists(), reason="the folder of shared data is not beside this checkout")
def test_the_fake_answers_as_in_all_records(tmp_path: Path) -> None:
    for record in selected(shared_answers(*NAMES)):
        compare(record, tmp_path)
