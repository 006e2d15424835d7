"""Gitea and Forgejo."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from kfp_edge.errors import ForgeError
from kfp_edge.forges.connection import Connection, ForgeRequest
from kfp_edge.forges.forge import Proposal, PullRequest, PullRequestState
from kfp_edge.forges.pulls_api import Named, Pull, PullsForge, Repository
from kfp_edge.forges.refusals import ForgeProfile, Purpose
from kfp_edge.forges.repository import ForgeRepository
from kfp_edge.forges.rest_forge import Edit, choose

PROFILE = ForgeProfile(
    name="Gitea or Forgejo",
    scopes="the permissions `repository: read and write` and `issue: read and write`",
    title_limit=255,
    # none is documented; the database takes more, and nobody reads it
    body_limit=1_048_576,
)
#: Gitea's default; a larger page is cut to it.
_PAGE = 50
_DRAFT = "WIP: "
_DRAFT_PREFIX = re.compile(r"(?:(?:\[WIP\]|WIP:|\[Draft\]|Draft:)\s*)+", re.IGNORECASE)
_LABEL_COLOR = "#5319e7"


class _Repository(Repository):
    has_pull_requests: bool = True
    default_merge_style: str = "merge"


class _Label(BaseModel):
    id: int
    name: str


class _Commit(BaseModel):
    id: str


class _Branch(BaseModel):
    commit: _Commit
    enable_status_check: bool = False
    required_approvals: int = 0


class _GitObject(BaseModel):
    sha: str


class _Reference(BaseModel):
    ref: str
    object: _GitObject


class _Pull(Pull):
    requested_reviewers_teams: list[Named] | None = None


class GiteaForge(PullsForge):
    """The pull requests of a repository on Gitea or Forgejo."""

    def __init__(self, repository: ForgeRepository, token: str, ca_file: Path | None = None) -> None:
        super().__init__(Connection(PROFILE, repository, token, scheme="token", ca_file=ca_file))

    def _check_features(self) -> None:
        if not self._read_repository(_Repository).has_pull_requests:
            raise ForgeError(
                f"pull requests are switched off in {self._repository.path} on {self._repository.host}; "
                "switch them on in the settings of the repository."
            )

    def _creation_sentences(self, proposal: Proposal) -> Mapping[int, str]:
        return {404: f"{self._repository.host} does not find the branch {proposal.branch} or {proposal.base}"}

    def _title(self, pull: Pull) -> str:
        return _DRAFT_PREFIX.sub("", pull.title, count=1) if pull.draft else pull.title

    def _find(self, branch: str, base: str) -> PullRequest | None:
        if current := choose(self._list_open(branch), base):
            return current
        # there is no list by head branch: ask first whether one was ever merged into that base or closed
        if base and "/" not in base and not self._has_history(branch, base):
            return None
        return next(self._list(branch, "closed"), None)

    def _has_history(self, branch: str, base: str) -> bool:
        """Whether there is, or was, a pull request of a branch into a base; which one, Gitea leaves open."""
        path = f"{self._path}/pulls/{quote(base)}/{quote(branch)}"
        request = ForgeRequest("GET", path, Purpose(f"find the pull request of {branch}"))
        return self._connection.read_optional(Pull, request) is not None

    def _list_open(self, branch: str) -> list[PullRequest]:
        return list(self._list(branch, "open"))

    def _list(self, branch: str, state: str) -> Iterator[PullRequest]:
        """Yield the pull requests of a branch, the newest first, which is Gitea's order."""
        purpose = Purpose("list the pull requests")
        request = ForgeRequest("GET", f"{self._path}/pulls", purpose, {"state": state, "limit": _PAGE})
        for pull in self._connection.read_pages(Pull, request):
            if self._is_own_branch(pull.head, branch):
                yield self._to_pull_request(pull)

    def _create(self, proposal: Proposal, title: str, body: str) -> tuple[PullRequest, tuple[str, ...]]:
        created = self._post_pull(proposal, f"{_DRAFT}{title}" if proposal.draft else title, body)
        if created.draft or not proposal.draft:
            return created, ()
        return created, (
            f"{self._repository.host} does not take a title with {_DRAFT.strip()} for a draft, so pull request "
            f"{created.number} is an ordinary one.",
        )

    def _is_duplicate(self, error: ForgeError) -> bool:
        return error.status == 409

    def _edit(self, current: PullRequest, edit: Edit) -> None:
        title = f"{_DRAFT}{edit.title}" if edit.title is not None and current.draft else edit.title
        super()._edit(current, Edit(title, edit.body, edit.base))

    def _branch_commit(self, branch: str) -> str | None:
        head = self._read_branch(branch)
        return None if head is None else head.commit.id

    def _read_branch(self, branch: str) -> _Branch | None:
        request = ForgeRequest("GET", f"{self._path}/branches/{quote(branch)}", Purpose(f"read {branch}"))
        return self._connection.read_optional(_Branch, request)

    def _proposed_commit(self, merged: PullRequest) -> str:
        """Return the last commit that a merged pull request proposed.

        Its `head.sha` is that of the branch as it is now, so the commit is read from the reference that is left behind.
        """
        name = f"pull/{merged.number}/head"
        request = ForgeRequest("GET", f"{self._path}/git/refs/{name}", Purpose(f"read refs/{name}"))
        references = self._connection.read_list(_Reference, request)
        commits = [reference.object.sha for reference in references if reference.ref == f"refs/{name}"]
        return commits[0] if commits else merged.head_commit

    def _merge(self, current: PullRequest) -> None:
        self._post_merge(current.number, current.head_commit, f"merge pull request {current.number}")

    def _post_merge(self, number: int, commit: str, action: str, **options: object) -> None:
        style = self._read_repository(_Repository).default_merge_style
        path = f"{self._path}/pulls/{number}/merge"
        body = {"Do": style, "head_commit_id": commit, **options}
        self._connection.send(ForgeRequest("POST", path, Purpose(action), body=body))

    def _is_undecided(self, number: int, error: ForgeError) -> bool:
        return error.status == 405 and "try again later" in error.reason.lower()

    def _add_labels(self, number: int, labels: Sequence[str]) -> None:
        ids = {label.name.casefold(): label.id for label in self._known_labels()}
        for name in labels:
            if name.casefold() not in ids:
                ids[name.casefold()] = self._create_label(name).id
        self._post_labels(number, [ids[name.casefold()] for name in labels])

    def _known_labels(self) -> Iterator[_Label]:
        """Yield the labels of the repository, and of the organization if it is one's."""
        purpose = Purpose("list the labels")
        query = {"limit": _PAGE}
        yield from self._connection.read_pages(_Label, ForgeRequest("GET", f"{self._path}/labels", purpose, query))
        path = f"orgs/{quote(self._repository.owner)}/labels"
        try:
            yield from self._connection.read_pages(_Label, ForgeRequest("GET", path, purpose, query))
        except ForgeError as error:
            # a user's repository, or a token that may not look at organizations
            if error.status not in (403, 404):
                raise

    def _create_label(self, name: str) -> _Label:
        body = {"name": name, "color": _LABEL_COLOR}
        purpose = Purpose(f"create the label {name}")
        return self._connection.read(_Label, ForgeRequest("POST", f"{self._path}/labels", purpose, body=body))

    def _requested_teams(self, number: int) -> set[str]:
        pull = self._connection.read(_Pull, self._pull_request(number))
        return {team.name.casefold() for team in pull.requested_reviewers_teams or []}

    def _enable_auto_merge(self, number: int, base: str) -> bool:
        branch = self._read_branch(base)
        if branch is None or not (branch.enable_status_check or branch.required_approvals):
            # it would be merged at once, unseen
            raise ForgeError(
                f"auto-merge of pull request {number} is not enabled: no rule of {base} requires an approval or a "
                "check for which it would wait; protect the branch, or merge the pull request yourself."
            )
        current = self._get(number)
        if current.state is not PullRequestState.OPEN:
            return False
        action = f"enable auto-merge of pull request {number}"
        try:
            self._when_decided(
                number, lambda: self._post_merge(number, current.head_commit, action, merge_when_checks_succeed=True)
            )
        except ForgeError as error:
            if error.status == 409 and "already" in error.reason.lower():
                return False
            raise
        return True
