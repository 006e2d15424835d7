"""The REST API of Gitea and Forgejo."""

import re

from support.fake_forges.dialect import BaseDialect, RefusedError
from support.fake_forges.routes import ApiRequest, Body, Response, Route, link, page_of
from support.fake_forges.store import AUTHOR, FakePull, FakeRepository, NotMergeableError, Rule

_PAGE = 50
#: Gitea's default prefixes of drafts.
WORK_IN_PROGRESS = ("WIP:", "[WIP]")


class Gitea(BaseDialect):
    """Answers as Gitea does."""

    api = "/api/v1"

    def refuse(self, status: int, reason: str) -> Response:
        """Return an error in the form of this forge."""
        usual = {401: "user does not exist [uid: 0, name: ]", 404: "The target couldn't be found."}
        body = {"message": reason or usual[status], "url": "https://docs"}
        return Response(status, {**body, "errors": []} if status == 404 else body)

    def _check_scope(self, request: ApiRequest, scope: str) -> None:
        if ("issue" if scope == "issue" else "write") not in request.scopes:
            reason = f"token does not have at least one of required scope(s), required=[write:{scope}], token scope="
            raise RefusedError(self.refuse(403, reason))

    def get_repository(self, request: ApiRequest, owner: str, repo: str) -> Response:
        found = self.repository(owner, repo)
        body = {
            "full_name": found.path,
            "default_branch": found.default_branch,
            "archived": found.archived,
            "permissions": {"admin": False, "push": found.may_push, "pull": True},
            "has_pull_requests": found.has_pull_requests,
            "default_merge_style": found.merge_methods[0],
        }
        return Response(200, body)

    def get_branch(self, request: ApiRequest, owner: str, repo: str, branch: str) -> Response:
        repository = self.repository(owner, repo)
        commit, rule = repository.commit_of(branch), repository.rules.get(branch, Rule())
        if commit is None:
            return self.refuse(404, "")
        body = {
            "name": branch,
            "commit": {"id": commit},
            "protected": branch in repository.rules,
            "required_approvals": rule.approvals,
            "enable_status_check": rule.checks,
        }
        return Response(200, body)

    def list_references(self, request: ApiRequest, owner: str, repo: str, ref: str) -> Response:
        number = re.fullmatch(r"pull/(\d+)/head", ref)
        commit = self.repository(owner, repo).reference(int(number[1])) if number else None
        if commit is None:
            return self.refuse(404, "")
        return Response(200, [{"ref": f"refs/{ref}", "object": {"type": "commit", "sha": commit}}])

    def list_pulls(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository = self.repository(owner, repo)
        state = request.query.get("state", "open")
        pulls = [pull for pull in reversed(repository.pulls) if state in ("all", pull.open_or_closed)]
        size = min(int(request.query.get("limit", _PAGE)), _PAGE, repository.page_limit)
        page, has_next = page_of(pulls, request.query, size)
        url = f"http://gitea.internal/{repository.path}/pulls"
        headers = link(url, int(request.query.get("page", "1")), has_next) | {"X-Total-Count": str(len(pulls))}
        return Response(200, [self._show(repository, pull) for pull in page], headers)

    def find_pull(self, request: ApiRequest, owner: str, repo: str, base: str, head: str) -> Response:
        repository = self.repository(owner, repo)
        pulls = [pull for pull in repository.pulls if (pull.base, pull.head, pull.fork) == (base, head, "")]
        # whatever the database finds first
        return Response(200, self._show(repository, pulls[0])) if pulls else self.refuse(404, "")

    def create_pull(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository, body = self.repository(owner, repo), request.body
        self._check_scope(request, "repository")
        if body["head"] == body["base"]:
            return self.refuse(422, "Invalid PullRequest: There are no changes between the head and the base")
        repository.run_hooks(repository.before_create)
        with repository.lock:
            if repository.commit_of(body["head"]) is None or repository.commit_of(body["base"]) is None:
                return self.refuse(404, "")
            if found := repository.find_open(body["head"], body["base"]):
                reason = (
                    f"pull request already exists for these targets [id: {found.number}, issue_id: {found.number}, "
                    f"head_repo_id: 1, base_repo_id: 1, head_branch: {found.head}, base_branch: {found.base}]"
                )
                return self.refuse(409, reason)
            repository.run_hooks(repository.after_look)
            pull = repository.add(body["head"], body["base"], title=body["title"], body=body.get("body", ""))
        return Response(201, self._show(repository, pull))

    def get_pull(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        return Response(200, self._show(repository, self.pull(repository, index)))

    def edit_pull(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "repository")
        pull = self.pull(repository, index)
        if "state" in request.body and pull.state == "merged":
            return self.refuse(412, "cannot change state of this pull request, it was already merged")
        for name, value in request.body.items():
            setattr(pull, name, value)
        return Response(201, self._show(repository, pull))

    def merge_pull(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "repository")
        pull, body = self.pull(repository, index), request.body
        is_scheduled = body.get("merge_when_checks_succeed", False)
        self._check_mergeable(repository, pull)
        if is_scheduled and pull.auto_merge:
            return self.refuse(409, f"pull request is already scheduled to auto merge when checks succeed [{index}]")
        if is_scheduled and repository.waits_for(pull):
            pull.auto_merge = True
            return Response(201)
        if waits_for := repository.waits_for(pull):
            reason = "Does not have enough approvals" if waits_for == "approvals" else "Not all required status checks"
            return self.refuse(405, f"not ready to be merged: {reason}")
        if body.get("head_commit_id", pull.head_commit) != pull.head_commit:
            return self.refuse(409, "head out of date")
        try:
            repository.merge(pull, body["Do"])
        except NotMergeableError as error:
            return self.refuse(409, str(error))
        return Response(200)

    def _check_mergeable(self, repository: FakeRepository, pull: FakePull) -> None:
        if pull.state == "closed":
            raise RefusedError(self.refuse(404, ""))
        reasons = {
            "User not allowed to merge PR": pull.state == "merged" or not repository.may_merge,
            "Work in progress PRs cannot be merged": self._is_draft(pull),
            "Please try again later": repository.is_undecided(),
        }
        for reason, applies in reasons.items():
            if applies:
                raise RefusedError(self.refuse(405, reason))

    def request_reviewers(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "repository")
        pull = self.pull(repository, index)
        users, teams = request.body.get("reviewers", []), request.body.get("team_reviewers", [])
        for name in users:
            if name not in self.server.users:
                return self.refuse(404, f"UserNotExist: User '{name}' not exist")
            if name == AUTHOR or name not in repository.members:
                return self.refuse(422, f"{name} is not valid to be a reviewer: Reviewer can't read")
        for name in teams:
            if name not in repository.teams:
                return self.refuse(404, f"TeamNotExist: Team '{name}' not exist")
        pull.reviewers += [name for name in users if name not in pull.reviewers]
        pull.teams += [name for name in teams if name not in pull.teams]
        return Response(201, self._reviews(pull))

    def list_reviews(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        pull = self.pull(self.repository(owner, repo), index)
        reviews = self._reviews(pull)
        return Response(200, reviews, {"X-Total-Count": str(len(reviews))})

    def _reviews(self, pull: FakePull) -> list[Body]:
        asked = [(self._user(name), None, "REQUEST_REVIEW") for name in pull.reviewers]
        asked += [(None, {"id": 1, "name": name}, "REQUEST_REVIEW") for name in pull.teams]
        given = [(self._user(name), None, "APPROVED") for name in pull.reviews]
        return [{"id": 1, "user": user, "team": team, "state": state} for user, team, state in [*asked, *given]]

    def list_labels(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository = self.repository(owner, repo)
        size = min(int(request.query.get("limit", _PAGE)), repository.page_limit)
        page, _ = page_of(repository.labels, request.query, size)
        # this list has no header `Link`
        headers = {"X-Total-Count": str(len(repository.labels))}
        return Response(200, [self._label(repository, name) for name in page], headers)

    def create_label(self, request: ApiRequest, owner: str, repo: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "issue")
        repository.labels.append(request.body["name"])
        return Response(201, self._label(repository, request.body["name"]))

    def list_organization_labels(self, request: ApiRequest, org: str) -> Response:
        return self.refuse(404, "")

    def add_labels(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "issue")
        pull = self.pull(repository, index)
        pull.labels += [repository.labels[number - 1] for number in request.body["labels"]]
        return Response(200, [self._label(repository, name) for name in pull.labels])

    def add_comment(self, request: ApiRequest, owner: str, repo: str, index: str) -> Response:
        repository = self.repository(owner, repo)
        self._check_scope(request, "issue")
        self.pull(repository, index).comments.append(request.body["body"])
        return Response(201, {"id": 1, "body": request.body["body"]})

    def _is_draft(self, pull: FakePull) -> bool:
        return pull.title.startswith(self.server.draft_prefixes)

    def _user(self, name: str) -> Body:
        return {"id": self.server.users[name], "login": name}

    def _label(self, repository: FakeRepository, name: str) -> Body:
        return {"id": repository.labels.index(name) + 1, "name": name, "color": "5319e7"}

    def _show(self, repository: FakeRepository, pull: FakePull) -> Body:
        name = {"full_name": repository.path}
        # of the branch as it is now, also after the merge
        commit = repository.commit_of(pull.head) or repository.reference(pull.number) or pull.head_commit
        return {
            "number": pull.number,
            "html_url": f"{self.server.web_url(repository.path)}/pulls/{pull.number}",
            "title": pull.title,
            "body": pull.body,
            "state": pull.open_or_closed,
            "merged": pull.state == "merged",
            "merged_at": pull.merged_at,
            "draft": self._is_draft(pull),
            "head": {"ref": pull.head, "sha": commit, "repo": {"full_name": pull.fork or repository.path}},
            "base": {"ref": pull.base, "sha": repository.commit_of(pull.base) or "", "repo": name},
            "labels": [self._label(repository, label) for label in pull.labels],
            "requested_reviewers": [self._user(user) for user in pull.reviewers],
            "requested_reviewers_teams": [{"id": 1, "name": team} for team in pull.teams],
        }

    routes = (
        Route("GET /repos/{owner}/{repo}", get_repository),
        Route("GET /repos/{owner}/{repo}/branches/{branch}", get_branch, ("branch",)),
        Route("GET /repos/{owner}/{repo}/git/refs/{ref}", list_references, ("ref",)),
        Route("GET /repos/{owner}/{repo}/pulls", list_pulls),
        Route("POST /repos/{owner}/{repo}/pulls", create_pull),
        Route("GET /repos/{owner}/{repo}/pulls/{index}", get_pull),
        Route("PATCH /repos/{owner}/{repo}/pulls/{index}", edit_pull),
        Route("POST /repos/{owner}/{repo}/pulls/{index}/merge", merge_pull),
        Route("POST /repos/{owner}/{repo}/pulls/{index}/requested_reviewers", request_reviewers),
        Route("GET /repos/{owner}/{repo}/pulls/{index}/reviews", list_reviews),
        Route("GET /repos/{owner}/{repo}/pulls/{base}/{head}", find_pull, ("head",)),
        Route("GET /repos/{owner}/{repo}/labels", list_labels),
        Route("POST /repos/{owner}/{repo}/labels", create_label),
        Route("GET /orgs/{org}/labels", list_organization_labels),
        Route("POST /repos/{owner}/{repo}/issues/{index}/labels", add_labels),
        Route("POST /repos/{owner}/{repo}/issues/{index}/comments", add_comment),
    )
