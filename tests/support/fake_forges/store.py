"""The state of a fake forge's repository: pull requests, labels, rules, and the real git repository behind them."""

import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.git_repositories import git

#: Of the user who owns the token, and is the author of pull requests.
AUTHOR = "kfp-bot"
#: The time of every merge.
MERGED_AT = "2026-01-02T03:04:05Z"


@dataclass
class Rule:
    """What the rules of a base branch require."""

    approvals: int = 0
    checks: bool = False


@dataclass
class Fault:
    """Answers the next requests that match, in place of the forge.

    Attributes:
        is_executed: Whether the forge does what it was asked before it answers with the fault: a lost answer.
        is_dropped: Whether it closes the connection without an answer.
    """

    method: str
    path: str
    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    is_executed: bool = False
    is_dropped: bool = False

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and re.search(self.path, path) is not None


@dataclass
class FakePull:
    """A pull request; `state` is open, closed or merged."""

    number: int
    head: str
    base: str
    title: str
    body: str
    head_commit: str
    fork: str = ""
    draft: bool = False
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    teams: list[str] = field(default_factory=list)
    reviews: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    approvals: int = 0
    auto_merge: bool = False
    merge_commit: str = ""
    merged_at: str | None = None

    @property
    def open_or_closed(self) -> str:
        """The state where a merged pull request is a closed one."""
        return "open" if self.state == "open" else "closed"


class NotMergeableError(Exception):
    """A merge is refused; the text is the reason."""


@dataclass
class FakeRepository:
    """A repository of a fake forge.

    Attributes:
        members: Who may review; the author may not.
        undecided: For how many requests the forge does not know whether it may merge.
        before_create: Called once when a pull request is to be opened, before and after the look for another one.
        prevents_duplicates: False for a forge that two requests at the same time get past that look.
        page_limit: The largest page.
    """

    path: str
    folder: Path
    id: int
    default_branch: str = "main"
    pulls: list[FakePull] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    members: set[str] = field(default_factory=lambda: {"ada", "grace"})
    teams: set[str] = field(default_factory=lambda: {"line-4"})
    rules: dict[str, Rule] = field(default_factory=dict)
    checks: str = "none"
    archived: bool = False
    has_pull_requests: bool = True
    may_push: bool = True
    may_merge: bool = True
    allows_drafts: bool = True
    allows_auto_merge: bool = True
    merge_methods: tuple[str, ...] = ("merge", "squash", "rebase")
    most_reviewers: int = 100
    undecided: int = 0
    page_limit: int = 100
    closes_on_delete: bool = True
    prevents_duplicates: bool = True
    before_create: list[Callable[[], object]] = field(default_factory=list)
    after_look: list[Callable[[], object]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def references(self) -> dict[str, str]:
        """Return the commits of all references, from git's files: a process for each request would take its time."""
        packed = self.folder / "packed-refs"
        lines = [line.split() for line in packed.read_text().splitlines()] if packed.is_file() else []
        found = {line[1]: line[0] for line in lines if len(line) == 2}
        files = (file for file in (self.folder / "refs").rglob("*") if file.is_file() and file.suffix != ".lock")
        return found | {str(file.relative_to(self.folder)): file.read_text().strip() for file in files}

    def commit_of(self, branch: str) -> str | None:
        """Return the head commit of a branch."""
        return self.references().get(f"refs/heads/{branch}")

    def reference(self, number: int) -> str | None:
        """Return the commit of `refs/pull/NUMBER/head`."""
        return self.references().get(f"refs/pull/{number}/head")

    def pull(self, number: int) -> FakePull:
        return self.pulls[number - 1]

    def add(self, head: str, base: str = "main", *, title: str = "t", body: str = "b", fork: str = "") -> FakePull:
        """Open a pull request without any check."""
        with self.lock:
            commit = self.commit_of(head) or "0" * 40
            pull = FakePull(len(self.pulls) + 1, head, base, title, body, commit, fork)
            self.pulls.append(pull)
            self.synchronize()
            return pull

    def synchronize(self) -> None:
        """Take notice of what was pushed."""
        references = self.references()
        for pull in self.pulls:
            if pull.state != "open" or pull.fork:
                continue
            commit = references.get(f"refs/heads/{pull.head}")
            if commit is None:
                pull.state = "closed" if self.closes_on_delete else pull.state
                continue
            pull.head_commit = commit
            if references.get(name := f"refs/pull/{pull.number}/head") != commit:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_text(f"{commit}\n")

    def find_open(self, head: str, base: str) -> FakePull | None:
        """Return the open pull request that is in the way of another one."""
        pulls = (
            pull for pull in self.pulls if (pull.head, pull.base, pull.state, pull.fork) == (head, base, "open", "")
        )
        return next(pulls, None) if self.prevents_duplicates else None

    def run_hooks(self, hooks: list[Callable[[], object]]) -> None:
        while hooks:
            hooks.pop(0)()

    def has_commits(self, head: str, base: str) -> bool:
        """Whether a branch has commits that another one lacks."""
        return bool(git(self.folder, "rev-list", "--max-count=1", f"refs/heads/{head}", f"^refs/heads/{base}"))

    def waits_for(self, pull: FakePull) -> str:
        """Return for what a merge has to wait: approvals, checks, or nothing."""
        rule = self.rules.get(pull.base, Rule())
        if pull.approvals < rule.approvals:
            return "approvals"
        return "checks" if rule.checks and self.checks != "success" else ""

    def merge(self, pull: FakePull, method: str = "merge") -> str:
        """Merge in git; return the commit."""
        with self.lock:
            self.synchronize()
            if method not in self.merge_methods:
                raise NotMergeableError(f"{method} is not allowed")
            old = git(self.folder, "rev-parse", f"refs/heads/{pull.base}")
            merged = subprocess.run(
                ["git", "merge-tree", "--write-tree", old, pull.head_commit],
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if merged.returncode:
                raise NotMergeableError("conflict")
            parents = ["-p", old] + (["-p", pull.head_commit] if method == "merge" else [])
            tree = merged.stdout.split()[0]
            commit = git(self.folder, "commit-tree", tree, *parents, "-m", f"{pull.title} (#{pull.number})")
            git(self.folder, "update-ref", f"refs/heads/{pull.base}", commit, old)
            pull.state, pull.merge_commit, pull.auto_merge = "merged", commit, False
            pull.merged_at = MERGED_AT
            return commit

    def approve(self, number: int, user: str) -> None:
        """Let a person approve a pull request."""
        pull = self.pull(number)
        pull.reviews.append(user)
        pull.reviewers = [name for name in pull.reviewers if name != user]
        pull.approvals += 1
        self._merge_if_ready(pull)

    def pass_checks(self) -> None:
        """Let the checks of all pull requests succeed."""
        self.checks = "success"
        for pull in self.pulls:
            self._merge_if_ready(pull)

    def _merge_if_ready(self, pull: FakePull) -> None:
        if pull.auto_merge and pull.state == "open" and not self.waits_for(pull):
            self.merge(pull, self.merge_methods[0])

    def is_undecided(self) -> bool:
        """Whether the forge does not know yet whether it may merge; each look brings the answer nearer."""
        self.undecided -= self.undecided > 0
        return self.undecided > 0
