"""The REST API of GitHub Enterprise Server, which is GitHub's below /api/v3."""

from collections.abc import Sequence

from support.fake_forges.dialect import BaseDialect, RefusedError
from support.fake_forges.routes import ApiRequest, Body, Response, Route, link, page_of
from support.fake_forges.store import AUTHOR, FakePull, FakeRepository, NotMergeableError


class GitHub(BaseDialect):
    """Answers as GitHub does."""

    api = "/api/v3"

    def refuse(self, status: int, reason: str, errors: Sequence[Body] = ()) -> Response:
        """Return an error in the form of this forge."""
        usual = {401: "Bad credentials", 404: "Not Found", 422: "Validation Failed"}
        body: Body = {"message": reason or usual[status], "documentation_url": "https://docs", "status": str(status)}
        return Response(status, {**body, "errors": list(errors)} if errors else body)

    def answer(self, request: ApiRequest) -> tuple[str, Response]:
        """Return the key of the operation, and the response."""
        if request.path == "/api/graphql":
            return "POST /graphql", self._graphql(request)
        return super().answer(request)

    def _invalid(self, field: str) -> RefusedError:
        error = {"resource": "PullRequest", "field": field, "code": "invalid"}
        return RefusedError(self.refuse(422, "", [error]))

    def _refused(self, message: str) -> RefusedError:
        return RefusedError(self.refuse(422, "", [{"resource": "PullRequest", "code": "custom", "message": message}]))

    def _check_write(self, request: ApiRequest) -> None:
        if "write" not in request.scopes:
            response = self.refuse(403, "Resource not accessible by personal access token")
            headers = {"X-Accepted-GitHub-Permissions": "pull_requests=write"}
            raise RefusedError(Response(403, response.body, headers))

    def get_repository(self, request: ApiRequest, owner: str, repo: str) -> Response:
        found = self.repository(owner, repo)
        body = {
            "full_name": found.path,
            "default_branch": found.default_branch,
            "archived": found.archived,
            "permissions": {"admin": False, "push": found.may_push, "pull": True},
            "allow_auto_merge": found.allows_auto_merge,
            "allow_merge_commit": "merge" in found.merge_methods,
            "allow_squash_merge": "squash" in found.merge_methods,
            "allow_rebase_merge": "rebase" in found.merge_methods,
        }
        return Response(200, body)

    def get_branch(self, request: ApiRequest, owner: str, repo: str, branch: str) -> Response:
        commit = self.repository(owner, repo).commit_of(branch)
        if commit is None:
            return self.refuse(404, "Branch not found")
        return Response(200, {"name": branch, "commit": {"sha": commit}})

    def list_pulls(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository = self.repository(owner, repo)
        state, head = request.query.get("state", "open"), request.query.get("head", "")
        pulls = [pull for pull in reversed(repository.pulls) if state in ("all", pull.open_or_closed)]
        if ":" in head:
            wanted = head.partition(":")
            pulls = [pull for pull in pulls if _owner(pull, repository) == wanted[0] and pull.head == wanted[2]]
        size = min(int(request.query.get("per_page", "30")), repository.page_limit)
        page, has_next = page_of(pulls, request.query, size)
        url = f"https://github.invalid/{repository.path}/pulls"
        headers = link(url, int(request.query.get("page", "1")), has_next)
        return Response(200, [self._listed(repository, pull) for pull in page], headers)

    def create_pull(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository, body = self.repository(owner, repo), request.body
        self._check_write(request)
        repository.run_hooks(repository.before_create)
        with repository.lock:
            for field in ("head", "base"):
                if repository.commit_of(body[field]) is None:
                    raise self._invalid(field)
            if repository.find_open(body["head"], body["base"]):
                raise self._refused(f"A pull request already exists for {owner}:{body['head']}.")
            repository.run_hooks(repository.after_look)
            if not repository.has_commits(body["head"], body["base"]):
                raise self._refused(f"No commits between {body['base']} and {body['head']}")
            if body.get("draft") and not repository.allows_drafts:
                raise RefusedError(self.refuse(422, "Draft pull requests are not supported in this repository."))
            if len(body.get("body", "")) > 65_536:
                raise self._refused("body is too long (maximum is 65536 characters)")
            pull = repository.add(body["head"], body["base"], title=body["title"], body=body.get("body", ""))
            pull.draft = body.get("draft", False)
        return Response(201, self._whole(repository, pull))

    def get_pull(self, request: ApiRequest, owner: str, repo: str, pull_number: str) -> Response:
        repository = self.repository(owner, repo)
        return Response(200, self._whole(repository, self.pull(repository, pull_number)))

    def edit_pull(self, request: ApiRequest, owner: str, repo: str, pull_number: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_write(request)
        pull = self.pull(repository, pull_number)
        for name, value in request.body.items():
            setattr(pull, name, value)
        return Response(200, self._whole(repository, pull))

    def merge_pull(self, request: ApiRequest, owner: str, repo: str, pull_number: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_write(request)
        pull = self.pull(repository, pull_number)
        if repository.is_undecided() or pull.state != "open" or pull.draft:
            return self.refuse(405, "Pull Request is not mergeable")
        if request.body.get("sha", pull.head_commit) != pull.head_commit:
            return self.refuse(409, "Head branch was modified. Review and try the merge again.")
        if repository.waits_for(pull) == "approvals":
            return self.refuse(405, "At least 1 approving review is required by reviewers with write access.")
        if repository.waits_for(pull):
            return self.refuse(405, "1 of 1 required status checks are expected.")
        try:
            commit = repository.merge(pull, request.body.get("merge_method", "merge"))
        except NotMergeableError:
            return self.refuse(405, "Pull Request is not mergeable")
        return Response(200, {"sha": commit, "merged": True, "message": "Pull Request successfully merged"})

    def request_reviewers(self, request: ApiRequest, owner: str, repo: str, pull_number: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_write(request)
        pull = self.pull(repository, pull_number)
        users, teams = request.body.get("reviewers", []), request.body.get("team_reviewers", [])
        if AUTHOR in users:
            return self.refuse(422, "Review cannot be requested from pull request author.")
        if not set(users) <= repository.members or not set(teams) <= repository.teams:
            return self.refuse(
                422,
                "Reviews may only be requested from collaborators. One or more of the users or teams you specified is "
                f"not a collaborator of the {repository.path} repository.",
            )
        pull.reviewers += [name for name in users if name not in pull.reviewers]
        pull.teams += [name for name in teams if name not in pull.teams]
        return Response(201, self._listed(repository, pull))

    def list_reviews(self, request: ApiRequest, owner: str, repo: str, pull_number: str) -> Response:
        pull = self.pull(self.repository(owner, repo), pull_number)
        return Response(200, [{"user": {"login": name}} for name in pull.reviews])

    def add_labels(self, request: ApiRequest, owner: str, repo: str, issue_number: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_write(request)
        pull = self.pull(repository, issue_number)
        for name in request.body["labels"]:
            if len(name) > 50:
                return self.refuse(422, "", [{"resource": "Label", "field": "name", "code": "invalid"}])
            known = {label.casefold(): label for label in repository.labels}
            if name.casefold() not in known:
                repository.labels.append(name)
            pull.labels.append(known.get(name.casefold(), name))
        return Response(200, [{"name": name} for name in pull.labels])

    def add_comment(self, request: ApiRequest, owner: str, repo: str, issue_number: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_write(request)
        self.pull(repository, issue_number).comments.append(request.body["body"])
        return Response(201, {"id": 1, "body": request.body["body"]})

    def _graphql(self, request: ApiRequest) -> Response:
        """Answer the one mutation that we use."""
        path, _, number = request.body["variables"]["id"].rpartition("#")
        repository = self.server.repositories[path]
        repository.requests.append(("POST", "/api/graphql"))
        pull = repository.pull(int(number))
        reason = ""
        if "write" not in request.scopes:
            reason = "Resource not accessible by personal access token"
        elif not repository.allows_auto_merge:
            reason = "Auto merge is not allowed for this repository"
        elif not repository.waits_for(pull):
            reason = "Pull request is in clean status"
        if reason:
            error = {"type": "UNPROCESSABLE", "path": ["enablePullRequestAutoMerge"], "message": reason}
            return Response(200, {"data": {"enablePullRequestAutoMerge": None}, "errors": [error]})
        pull.auto_merge = True
        return Response(200, {"data": {"enablePullRequestAutoMerge": {"clientMutationId": None}}})

    def _listed(self, repository: FakeRepository, pull: FakePull) -> Body:
        base = {"ref": pull.base, "sha": repository.commit_of(pull.base) or "", "repo": {"full_name": repository.path}}
        return {
            "number": pull.number,
            "html_url": f"{self.server.web_url(repository.path)}/pull/{pull.number}",
            "title": pull.title,
            "body": pull.body or None,
            "state": pull.open_or_closed,
            "merged_at": pull.merged_at,
            "draft": pull.draft,
            "head": {"ref": pull.head, "sha": pull.head_commit, "repo": {"full_name": pull.fork or repository.path}},
            "base": base,
            "labels": [{"name": name} for name in pull.labels],
            "requested_reviewers": [{"login": name} for name in pull.reviewers],
        }

    def _whole(self, repository: FakeRepository, pull: FakePull) -> Body:
        return {
            **self._listed(repository, pull),
            "requested_teams": [{"slug": name, "name": name.title()} for name in pull.teams],
            "node_id": f"{repository.path}#{pull.number}",
            "mergeable": None if repository.undecided else True,
            "auto_merge": {"merge_method": "merge"} if pull.auto_merge else None,
        }

    routes = (
        Route("GET /repos/{owner}/{repo}", get_repository),
        Route("GET /repos/{owner}/{repo}/branches/{branch}", get_branch, ("branch",)),
        Route("GET /repos/{owner}/{repo}/pulls", list_pulls),
        Route("POST /repos/{owner}/{repo}/pulls", create_pull),
        Route("GET /repos/{owner}/{repo}/pulls/{pull_number}", get_pull),
        Route("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", edit_pull),
        Route("PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge", merge_pull),
        Route("POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", request_reviewers),
        Route("GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews", list_reviews),
        Route("POST /repos/{owner}/{repo}/issues/{issue_number}/labels", add_labels),
        Route("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", add_comment),
    )


def _owner(pull: FakePull, repository: FakeRepository) -> str:
    return (pull.fork or repository.path).partition("/")[0]
