"""The GitOps repository, read and tidied with the login of the project."""

import os
import subprocess
from pathlib import Path

from kfp_edge.git.environment import git_environment
from kfp_edge.git.remote import GitRemote
from kfp_edge.kubernetes import Cluster
from support.live_cluster.logins import secret_values
from support.live_cluster.settings import Settings


class GitOpsRepository:
    """The repository of the parameters.

    The login is that of this shell (`KFP_EDGE_GIT_TOKEN`), else that of the project's Secret.
    """

    def __init__(self, cluster: Cluster, settings: Settings, folder: Path) -> None:
        self.url = str(settings.parameters["gitops_repo"])
        login = secret_values(cluster, settings.secret("git_secret"))
        user = os.environ.get("KFP_EDGE_GIT_USERNAME") or login.get("username", "oauth2")
        token = os.environ.get("KFP_EDGE_GIT_TOKEN") or login.get("password", "")
        #: What Argo CD logs in with, where it has no login of its own.
        self.login = {"username": user, "password": token}
        config = folder / "gitconfig"
        config.touch()
        self._environment = git_environment(GitRemote(self.url), token, config) | {"KFP_EDGE_GIT_USERNAME": user}

    def only_file(self, branch: str, pattern: str, folder: Path) -> str:
        """Return the contents of the only file of a branch whose path fits a pattern."""
        self._git("clone", "--quiet", "--depth", "1", "--branch", branch, self.url, str(folder))
        (file,) = folder.glob(pattern)
        return file.read_text()

    def delete_branch(self, branch: str, folder: Path) -> None:
        """Delete a branch."""
        self._git("init", "--quiet", str(folder))
        self._git("-C", str(folder), "push", "--quiet", self.url, "--delete", branch)

    def new_branch(self, branch: str, folder: Path) -> None:
        """Make a checkout of a new branch without history in a folder."""
        self._git("init", "--quiet", f"--initial-branch={branch}", str(folder))

    def push_all(self, branch: str, folder: Path, message: str) -> str:
        """Commit what is in a checkout, push it, and return the commit."""
        author = ["-c", "user.name=kfp-edge-test", "-c", "user.email=kfp-edge-test@localhost"]
        self._git("-C", str(folder), "add", "--all")
        self._git("-C", str(folder), *author, "commit", "--quiet", "--message", message)
        self._git("-C", str(folder), "push", "--quiet", self.url, branch)
        return self._git("-C", str(folder), "rev-parse", "HEAD").strip()

    def branches(self) -> list[str]:
        """Return the names of all branches."""
        lines = self._git("ls-remote", "--heads", self.url).splitlines()
        return [line.partition("refs/heads/")[2] for line in lines]

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
