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
        self._url = str(settings.parameters["gitops_repo"])
        login = secret_values(cluster, settings.secret("git_secret"))
        user = os.environ.get("KFP_EDGE_GIT_USERNAME") or login.get("username", "oauth2")
        token = os.environ.get("KFP_EDGE_GIT_TOKEN") or login.get("password", "")
        config = folder / "gitconfig"
        config.touch()
        self._environment = git_environment(GitRemote(self._url), token, config) | {"KFP_EDGE_GIT_USERNAME": user}

    def only_file(self, branch: str, pattern: str, folder: Path) -> str:
        """Return the contents of the only file of a branch whose path fits a pattern."""
        self._git("clone", "--quiet", "--depth", "1", "--branch", branch, self._url, str(folder))
        (file,) = folder.glob(pattern)
        return file.read_text()

    def delete_branch(self, branch: str, folder: Path) -> None:
        """Delete a branch."""
        self._git("init", "--quiet", str(folder))
        self._git("-C", str(folder), "push", "--quiet", self._url, "--delete", branch)

    def branches(self) -> list[str]:
        """Return the names of all branches."""
        lines = self._git("ls-remote", "--heads", self._url).splitlines()
        return [line.partition("refs/heads/")[2] for line in lines]

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
