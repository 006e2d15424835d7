"""GitLab, where pull requests are called merge requests."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel

from kfp_edge.errors import ForgeError
from kfp_edge.forges.connection import Connection, ForgeRequest
from kfp_edge.forges.forge import Proposal, PullRequest, PullRequestState
from kfp_edge.forges.refusals import ForgeProfile, Purpose
from kfp_edge.forges.repository import ForgeRepository
from kfp_edge.forges.rest_forge import (
    ACCESS_CHECK_TITLE,
    CHECKS,
    FIRST_CHECK_PAUSE,
    Edit,
    RestForge,
    Reviewers,
    choose,
)

PROFILE = ForgeProfile(
    name="GitLab", scopes="the scope `api` and the role Developer", title_limit=255, body_limit=1_048_576
)
_DRAFT = "Draft: "
_DRAFT_PREFIX = re.compile(r"(?:(?:\[Draft\]|\(Draft\)|Draft:)\s*)+", re.IGNORECASE)
_DEVELOPER = 30
_STATES = {"merged": PullRequestState.MERGED, "closed": PullRequestState.CLOSED}
#: Values of `detailed_merge_status` before GitLab has found whether it may merge.
_UNDECIDED = frozenset({"unchecked", "checking", "preparing", "approvals_syncing"})


class _User(BaseModel):
    id: int
    username: str


class _MergeRequest(BaseModel):
    iid: int
    project_id: int
    source_project_id: int | None
    web_url: str
    title: str
    description: str | None = None
    state: str
    source_branch: str
    target_branch: str
    labels: list[str] = []
    draft: bool = False
    sha: str | None = None
    merged_at: AwareDatetime | None = None
    detailed_merge_status: str = ""
    merge_when_pipeline_succeeds: bool = False
    reviewers: list[_User] | None = None


class _Access(BaseModel):
    access_level: int


class _Permissions(BaseModel):
    project_access: _Access | None = None
    group_access: _Access | None = None


class _Project(BaseModel):
    default_branch: str | None = None
    archived: bool = False
    merge_requests_access_level: str = "enabled"
    permissions: _Permissions | None = None


class _Commit(BaseModel):
    id: str


class _Branch(BaseModel):
    commit: _Commit


class GitLabForge(RestForge):
    """The merge requests of a project on GitLab."""

    def __init__(self, repository: ForgeRepository, token: str, ca_file: Path | None = None) -> None:
        super().__init__(Connection(PROFILE, repository, token, ca_file=ca_file))
        self._path = f"projects/{quote(repository.path, safe='')}"

    def check_access(self) -> None:
        """Check, without a change, that the token may open merge requests.

        Raises:
            ForgeError: it may not, or the forge cannot be reached; one sentence says what to do.
        """
        project = self._connection.read(_Project, ForgeRequest("GET", self._path, Purpose("read the project")))
        where = f"{self._repository.path} on {self._repository.host}"
        if project.archived:
            raise ForgeError(f"{where} is archived, so it takes no merge requests; name another project.")
        if project.merge_requests_access_level == "disabled":
            raise ForgeError(f"merge requests are switched off in {where}; switch them on in its settings.")
        permissions = project.permissions or _Permissions()
        access = [access for access in (permissions.project_access, permissions.group_access) if access is not None]
        if access and max(one.access_level for one in access) < _DEVELOPER:
            raise ForgeError(
                f"the owner of the token has no role in {where} that may write; give it the role Developer."
            )
        branch = project.default_branch or "main"
        body = {"title": ACCESS_CHECK_TITLE, "source_branch": branch, "target_branch": branch}
        self._check_creation(f"{self._path}/merge_requests", body)

    def _comments_path(self, number: int) -> str:
        return f"{self._path}/merge_requests/{number}/notes"

    def _find(self, branch: str, base: str) -> PullRequest | None:
        return choose(self._list(branch, "all"), base)

    def _list_open(self, branch: str) -> list[PullRequest]:
        return self._list(branch, "opened")

    def _list(self, branch: str, state: str) -> list[PullRequest]:
        request = ForgeRequest(
            "GET",
            f"{self._path}/merge_requests",
            Purpose("list the merge requests"),
            {"source_branch": branch, "state": state, "per_page": 100},
        )
        listed = self._connection.read_pages(_MergeRequest, request)
        # not those of a fork, which may have a branch of the same name
        return [_to_pull_request(one) for one in listed if one.source_project_id == one.project_id]

    def _read(self, number: int) -> _MergeRequest:
        path = f"{self._path}/merge_requests/{number}"
        return self._connection.read(_MergeRequest, ForgeRequest("GET", path, Purpose(f"read merge request {number}")))

    def _get(self, number: int) -> PullRequest:
        return _to_pull_request(self._read(number))

    def _create(self, proposal: Proposal, title: str, body: str) -> tuple[PullRequest, tuple[str, ...]]:
        request = ForgeRequest(
            "POST",
            f"{self._path}/merge_requests",
            Purpose(f"open a merge request for {proposal.branch}"),
            body={
                "title": f"{_DRAFT}{title}" if proposal.draft else title,
                "description": body,
                "source_branch": proposal.branch,
                "target_branch": proposal.base,
            },
        )
        return _to_pull_request(self._connection.read(_MergeRequest, request)), ()

    def _is_duplicate(self, error: ForgeError) -> bool:
        return error.status == 409 and "already exists" in error.reason

    def _put(self, number: int, action: str, **changes: object) -> _MergeRequest:
        path = f"{self._path}/merge_requests/{number}"
        request = ForgeRequest("PUT", path, Purpose(f"{action} merge request {number}"), body=changes)
        return self._connection.read(_MergeRequest, request)

    def _edit(self, current: PullRequest, edit: Edit) -> None:
        title = f"{_DRAFT}{edit.title}" if edit.title is not None and current.draft else edit.title
        changes = {"title": title, "description": edit.body, "target_branch": edit.base}
        self._put(current.number, "update", **{name: value for name, value in changes.items() if value is not None})

    def _close(self, number: int, body: str) -> None:
        self._put(number, "close", state_event="close", description=body)

    def _branch_commit(self, branch: str) -> str | None:
        path = f"{self._path}/repository/branches/{quote(branch, safe='')}"
        head = self._connection.read_optional(_Branch, ForgeRequest("GET", path, Purpose(f"read {branch}")))
        return None if head is None else head.commit.id

    def _merge(self, current: PullRequest) -> None:
        self._put_merge(current, f"merge merge request {current.number}")

    def _put_merge(self, current: PullRequest, action: str, **options: object) -> None:
        request = ForgeRequest(
            "PUT",
            f"{self._path}/merge_requests/{current.number}/merge",
            # GitLab answers 401 to a token that is valid but may not merge
            Purpose(
                action, {401: f"the owner of the token may not merge into {current.base}, so GitLab did not {action}"}
            ),
            body={"sha": current.head_commit, **options},
        )
        self._connection.send(request)

    def _is_undecided(self, number: int, error: ForgeError) -> bool:
        return error.status in (405, 406, 422) and self._read(number).detailed_merge_status in _UNDECIDED

    def _add_labels(self, number: int, labels: Sequence[str]) -> None:
        usable = [label for label in labels if "," not in label]
        if usable:
            self._put(number, "label", add_labels=",".join(usable))
        if refused := [label for label in labels if "," in label]:
            raise ForgeError(f"GitLab has no labels with a comma; give {', '.join(map(repr, refused))} another name.")

    def _split_reviewers(self, names: Sequence[str]) -> tuple[Reviewers, list[str]]:
        plain = [name.strip().removeprefix("@") for name in names]
        refused = [
            f"GitLab asks no groups such as {name} for reviews; name users, or give the group an approval rule."
            for name in plain
            if "/" in name
        ]
        return Reviewers(tuple(name for name in plain if "/" not in name), ()), refused

    def _missing_reviewers(self, number: int, wanted: Reviewers) -> Reviewers:
        known = {user.username.casefold() for user in self._read(number).reviewers or []}
        return Reviewers(tuple(name for name in wanted.users if name.casefold() not in known), ())

    def _request_reviewers(self, number: int, reviewers: Reviewers) -> list[str]:
        refused: list[str] = []
        ids = [user.id for user in self._read(number).reviewers or []]
        wanted = []
        for name in reviewers.users:
            purpose = Purpose(f"find the user {name}")
            users = self._connection.read_list(_User, ForgeRequest("GET", "users", purpose, {"username": name}))
            wanted += users
            if not users:
                refused.append(f"{self._repository.host} has no user {name} to review merge request {number}.")
        if wanted:
            after = self._put(number, "ask for a review of", reviewer_ids=[*ids, *(user.id for user in wanted)])
            accepted = {user.id for user in after.reviewers or []}
            refused += [
                f"GitLab did not take {user.username} as a reviewer of merge request {number}: not a member of "
                f"{self._repository.path}, or one of several, which not every edition has."
                for user in wanted
                if user.id not in accepted
            ]
        return refused

    def _enable_auto_merge(self, number: int, base: str) -> bool:
        current = self._read_decided(number)
        if current.merge_when_pipeline_succeeds or current.state != "opened":
            return False
        if current.detailed_merge_status == "mergeable":
            # it would be merged at once, unseen
            raise ForgeError(
                f"auto-merge of merge request {number} is not enabled: no pipeline or approval is pending for which it "
                f"would wait; require one for {base}, or merge it yourself."
            )
        self._put_merge(
            _to_pull_request(current),
            f"enable auto-merge of merge request {number}",
            auto_merge=True,
            # the name of the same option before GitLab 17.11
            merge_when_pipeline_succeeds=True,
        )
        return True

    def _read_decided(self, number: int) -> _MergeRequest:
        """Return a merge request as soon as GitLab has found whether it may be merged, or after some time."""
        for attempt in range(CHECKS):
            current = self._read(number)
            if current.detailed_merge_status not in _UNDECIDED:
                break
            time.sleep(FIRST_CHECK_PAUSE * 2**attempt)
        return current


def _to_pull_request(request: _MergeRequest) -> PullRequest:
    return PullRequest(
        number=request.iid,
        url=request.web_url,
        branch=request.source_branch,
        base=request.target_branch,
        state=_STATES.get(request.state, PullRequestState.OPEN),
        title=_DRAFT_PREFIX.sub("", request.title, count=1) if request.draft else request.title,
        body=request.description or "",
        labels=tuple(request.labels),
        draft=request.draft,
        head_commit=request.sha or "",
        merged_at=request.merged_at,
    )
