"""The fakes of the forges serve real git, notice what does not fit the published API, and know no more than that."""

import json
from dataclasses import replace

import pytest
import requests

from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import open_repository
from support.fake_forges import TOKEN, ForgeServer, forge_server
from support.fake_forges.published import PublishedApi
from support.fake_forges.routes import Response
from support.fake_forges.schemas import ApiSchema
from support.git_repositories import create_certificate, isolate
from support.paths import SHARED

PREFIXES = {"gitlab": "/api/v4"}
#: What the code of a forge does and its document does not say. GitLab's has no lists of users, and lists for texts with
#: commas.
UNDOCUMENTED = {
    "gitea": ["POST /repos/{owner}/{repo}/pulls/{index}/merge does not answer 201"],
    "gitlab": [
        "GET /projects/{id}/merge_requests 200[].reviewers is no list",
        "POST /projects/{id}/merge_requests 201.reviewers is no list",
        "GET /projects/{id}/merge_requests/{merge_request_iid} 200.reviewers is no list",
        "PUT /projects/{id}/merge_requests/{merge_request_iid} body.add_labels is array, not string",
        "PUT /projects/{id}/merge_requests/{merge_request_iid} 200.reviewers is no list",
        "PUT /projects/{id}/merge_requests/{merge_request_iid}/merge 200.reviewers is no list",
    ],
}


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_a_repository_is_read_and_pushed_to_by_git_with_the_token(kind, tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    with forge_server(tmp_path, kind, prefix="/forge") as server:
        repository = server.create("plant/sites")
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
        with open_repository(GitRemote.parse(server.clone_url("plant/sites"))) as clone:
            commit = clone.commit(clone.head("main"), {"a": b"b"}, "change\n")
            clone.push(commit, "kfp-edge/press", None)
        assert repository.commit_of("kfp-edge/press") == commit


def test_a_request_that_does_not_fit_the_published_api_is_noticed(tmp_path):
    server = ForgeServer(tmp_path, create_certificate(tmp_path), "github")
    schema = server.schema
    server.server_close()
    operation = "POST /repos/{owner}/{repo}/pulls"
    good = {"title": "t", "head": "h", "base": "b"}
    refused = Response(422, {"message": "no"})
    assert schema.check(operation, {}, good, refused) == []
    assert schema.check(operation, {}, {**good, "drafts": True}, refused) != []
    assert schema.check(operation, {}, {"title": "t"}, refused) != []
    assert schema.check(operation, {}, {**good, "title": 1}, refused) != []
    assert schema.check("GET /repos/{owner}/{repo}/pulls", {"branch": "b"}, None, Response(200, [])) != []
    assert schema.check(operation, {}, good, Response(201, {"number": 1})) != []
    assert schema.check(operation, {}, good, Response(200, {})) != []
    assert schema.check("DELETE /repos/{owner}/{repo}", {}, None, Response(204)) != []


def test_a_request_without_a_token_is_refused(tmp_path):
    with forge_server(tmp_path, "gitea") as server:
        server.create("plant/sites")
        url = server.url("api/v1/repos/plant/sites")
        assert requests.get(url, verify=str(server.certificate), timeout=60).status_code == 401


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_our_form_of_the_api_is_that_of_the_published_document(kind):
    document = SHARED / "schemas" / "forges" / f"{kind}.json"
    if not document.is_file():
        pytest.skip(f"{document} is not there")
    published = PublishedApi(json.loads(document.read_text()), PREFIXES.get(kind, ""))
    assert list(published.differences(ApiSchema.load(kind))) == UNDOCUMENTED.get(kind, [])


def test_a_field_that_is_not_published_is_noticed():
    document = {
        "paths": {
            "/pulls": {
                "get": {
                    "parameters": [{"name": "state", "in": "query"}],
                    "responses": {"200": {"schema": {"items": {"$ref": "#/definitions/Pull"}}}},
                }
            }
        },
        "definitions": {"Pull": {"properties": {"number": {"type": "integer"}}}},
    }
    answers = {"200": ["#Pull"]}
    ours = ApiSchema({"GET /pulls": {"query": ["state"], "answers": answers}}, {"Pull": {"number": "integer"}})
    published = PublishedApi(document)
    assert list(published.differences(ours)) == []
    for definitions in ({"number": "string"}, {"number": "integer", "other": "string"}):
        assert list(published.differences(replace(ours, definitions={"Pull": definitions}))) != []
    assert list(published.differences(replace(ours, operations={"GET /other": {"answers": {}}}))) != []
    query = {"GET /pulls": {"query": ["page"], "answers": answers}}
    assert list(published.differences(replace(ours, operations=query))) != []
