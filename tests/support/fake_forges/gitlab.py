"""The REST API of GitLab."""

from collections.abc import Mapping
from urllib.parse import unquote

from support.fake_forges.dialect import BaseDialect, RefusedError
from support.fake_forges.routes import ApiRequest, Body, Response, Route, link, page_of
from support.fake_forges.store import FakePull, FakeRepository, NotMergeableError

_STATES = {"open": "opened", "closed": "closed", "merged": "merged"}
_DEVELOPER, _REPORTER = 30, 20


class GitLab(BaseDialect):
    """Answers as GitLab does."""

    api = "/api/v4"

    def refuse(self, status: int, reason: str | list[str]) -> Response:
        """Return an error in the form of this forge."""
        usual = {401: "401 Unauthorized", 404: "404 Project Not Found", 405: "405 Method Not Allowed"}
        return Response(status, {"message": reason or usual[status]})

    def repository_of(self, path: str, repositories: Mapping[str, FakeRepository]) -> FakeRepository | None:
        """Return the repository that a request is about, by `/projects/ID`."""
        parts = path.removeprefix(self.api).split("/")
        return repositories.get(unquote(parts[2])) if parts[1:2] == ["projects"] else None

    def _project(self, id: str) -> FakeRepository:
        return self.repository(*id.rsplit("/", 1)) if "/" in id else self.repository("", id)

    def _check_write(self, request: ApiRequest, repository: FakeRepository) -> None:
        if "write" not in request.scopes:
            body = {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the access token.",
                "scope": "api",
            }
            raise RefusedError(Response(403, body))
        if not repository.may_push:
            raise RefusedError(self.refuse(403, "403 Forbidden"))

    def get_project(self, request: ApiRequest, id: str) -> Response:
        found = self._project(id)
        level = _DEVELOPER if found.may_push else _REPORTER
        body = {
            "id": found.id,
            "path_with_namespace": found.path,
            "default_branch": found.default_branch,
            "archived": found.archived,
            "merge_requests_access_level": "enabled" if found.has_pull_requests else "disabled",
            "permissions": {"project_access": None, "group_access": {"access_level": level}},
        }
        return Response(200, body)

    def get_branch(self, request: ApiRequest, id: str, branch: str) -> Response:
        commit = self._project(id).commit_of(branch)
        if commit is None:
            return self.refuse(404, "404 Branch Not Found")
        return Response(200, {"name": branch, "commit": {"id": commit}})

    def list_requests(self, request: ApiRequest, id: str) -> Response:
        repository, query = self._project(id), request.query
        state, branch = query.get("state", "all"), query.get("source_branch", "")
        pulls = [pull for pull in reversed(repository.pulls) if state in ("all", _STATES[pull.state])]
        pulls = [pull for pull in pulls if branch in ("", pull.head)]
        size = min(int(query.get("per_page", "20")), repository.page_limit)
        page, has_next = page_of(pulls, query, size)
        headers = link("http://gitlab.internal/api", int(query.get("page", "1")), has_next)
        return Response(200, [self._show(repository, pull) for pull in page], headers)

    def create_request(self, request: ApiRequest, id: str) -> Response:
        repository, body = self._project(id), request.body
        self._check_write(request, repository)
        head, base = body["source_branch"], body["target_branch"]
        if head == base:
            return self.refuse(422, ["You can't use same project/branch for source and target"])
        repository.run_hooks(repository.before_create)
        with repository.lock:
            for role, branch in (("Source", head), ("Target", base)):
                if repository.commit_of(branch) is None:
                    return self.refuse(422, [f'{role} branch "{branch}" does not exist'])
            if found := repository.find_open(head, base):
                return self.refuse(
                    409, [f"Another open merge request already exists for this source branch: !{found.number}"]
                )
            repository.run_hooks(repository.after_look)
            pull = repository.add(head, base, title=body["title"], body=body.get("description", ""))
        return Response(201, self._show(repository, pull))

    def get_request(self, request: ApiRequest, id: str, merge_request_iid: str) -> Response:
        repository = self._project(id)
        shown = self._show(repository, self.pull(repository, merge_request_iid))
        repository.is_undecided()
        return Response(200, shown)

    def edit_request(self, request: ApiRequest, id: str, merge_request_iid: str) -> Response:
        repository, body = self._project(id), request.body
        self._check_write(request, repository)
        pull = self.pull(repository, merge_request_iid)
        pull.title = body.get("title", pull.title)
        pull.body = body.get("description", pull.body)
        pull.base = body.get("target_branch", pull.base)
        if body.get("state_event") == "close":
            pull.state = "closed"
        for name in filter(None, body.get("add_labels", "").split(",")):
            pull.labels.append(name.strip())
        if "reviewer_ids" in body:
            names = {number: name for name, number in self.server.users.items()}
            allowed = [names[number] for number in body["reviewer_ids"] if names[number] in repository.members]
            pull.reviewers = allowed[: repository.most_reviewers]
        return Response(200, self._show(repository, pull))

    def merge_request(self, request: ApiRequest, id: str, merge_request_iid: str) -> Response:
        repository, body = self._project(id), request.body
        self._check_write(request, repository)
        pull = self.pull(repository, merge_request_iid)
        if not repository.may_merge:
            return self.refuse(401, "401 Unauthorized")
        status = self._status(repository, pull)
        is_automatic = body.get("auto_merge", False) and status in ("ci_still_running", "not_approved")
        if pull.state != "open" or not (status == "mergeable" or is_automatic):
            return self.refuse(405, "")
        if body.get("sha", pull.head_commit) != pull.head_commit:
            return self.refuse(409, f"SHA does not match HEAD of source branch: {pull.head_commit}")
        if is_automatic:
            pull.auto_merge = True
            return Response(200, self._show(repository, pull))
        try:
            repository.merge(pull, repository.merge_methods[0])
        except NotMergeableError:
            return self.refuse(422, "Branch cannot be merged")
        return Response(200, self._show(repository, pull))

    def add_note(self, request: ApiRequest, id: str, noteable_id: str) -> Response:
        repository = self._project(id)
        self._check_write(request, repository)
        self.pull(repository, noteable_id).comments.append(request.body["body"])
        return Response(201, {"id": 1, "body": request.body["body"]})

    def list_users(self, request: ApiRequest) -> Response:
        name = request.query["username"]
        return Response(200, [self._user(name)] if name in self.server.users else [])

    def _user(self, name: str) -> Body:
        return {"id": self.server.users[name], "username": name}

    def _status(self, repository: FakeRepository, pull: FakePull) -> str:
        if pull.state != "open":
            return "not_open"
        if repository.undecided:
            return "checking"
        if pull.title.startswith("Draft:"):
            return "draft_status"
        return {"approvals": "not_approved", "checks": "ci_still_running", "": "mergeable"}[repository.waits_for(pull)]

    def _show(self, repository: FakeRepository, pull: FakePull) -> Body:
        return {
            "iid": pull.number,
            "project_id": repository.id,
            "source_project_id": 999 if pull.fork else repository.id,
            "web_url": f"{self.server.web_url(repository.path)}/-/merge_requests/{pull.number}",
            "title": pull.title,
            "description": pull.body or None,
            "state": _STATES[pull.state],
            "source_branch": pull.head,
            "target_branch": pull.base,
            "labels": pull.labels,
            "draft": pull.title.startswith("Draft:"),
            "sha": pull.head_commit,
            "merged_at": pull.merged_at,
            "detailed_merge_status": self._status(repository, pull),
            "merge_when_pipeline_succeeds": pull.auto_merge,
            "reviewers": [self._user(name) for name in pull.reviewers],
        }

    routes = (
        Route("GET /projects/{id}", get_project),
        Route("GET /projects/{id}/repository/branches/{branch}", get_branch),
        Route("GET /projects/{id}/merge_requests", list_requests),
        Route("POST /projects/{id}/merge_requests", create_request),
        Route("GET /projects/{id}/merge_requests/{merge_request_iid}", get_request),
        Route("PUT /projects/{id}/merge_requests/{merge_request_iid}", edit_request),
        Route("PUT /projects/{id}/merge_requests/{merge_request_iid}/merge", merge_request),
        Route("POST /projects/{id}/merge_requests/{noteable_id}/notes", add_note),
        Route("GET /users", list_users),
    )
