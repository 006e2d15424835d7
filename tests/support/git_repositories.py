"""Real git repositories, and a server that runs the real `git http-backend` with TLS and basic authentication."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

S = TypeVar("S", bound=ThreadingHTTPServer)

_OTHER_AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "other"), ("EMAIL", "other@localhost"))
}


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Hide the git configuration of the user who runs the tests; return the file that takes its place."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "KFP_EDGE_GIT_"))]:
        monkeypatch.delenv(name)
    home = folder / "home"
    home.mkdir()
    monkeypatch.chdir(home)  # out of this repository, which may have a user of its own
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # this clone may have a user.name of its own
    monkeypatch.chdir(home)
    return home / ".gitconfig"


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=folder, env=os.environ | _OTHER_AUTHOR, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def bare(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    return folder


def push_from_another_clone(repository: Path, branch: str, files: Mapping[str, str], *, start: str = "") -> str:
    """Push a commit with `files` on top of a branch (or `start`, or nothing), as another client; return its hash."""
    clone = repository.parent / f"other-{os.urandom(4).hex()}"
    git(repository.parent, "clone", "--quiet", str(repository), str(clone))
    tip = start or (f"origin/{branch}" if git(clone, "branch", "--remotes", "--list", f"origin/{branch}") else "")
    git(clone, "checkout", "--quiet", *(["-B", "work", tip] if tip else ["--orphan", "work"]))
    for name, text in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text, newline="")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "another client's commit")
    git(clone, "push", "--quiet", "origin", f"work:refs/heads/{branch}")
    return git(clone, "rev-parse", "work")


def merge(repository: Path, branch: str, into: str = "main") -> str:
    """Merge a branch with a merge commit, as a forge does; return the commit."""
    clone = repository.parent / f"merge-{os.urandom(4).hex()}"
    git(repository.parent, "clone", "--quiet", "--branch", into, str(repository), str(clone))
    git(clone, "merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", f"origin/{branch}")
    git(clone, "push", "--quiet", "origin", into)
    return git(clone, "rev-parse", "HEAD")


def before_each_push(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a `git` on the PATH that runs a shell script before every `git push`, and then the real git."""
    real = subprocess.run(["sh", "-c", "command -v git"], check=True, capture_output=True, text=True).stdout.strip()
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\nREAL_GIT={real}\nif [ "$1" = push ]; then\n{script}\nfi\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def hook(repository: Path, name: str, script: str) -> None:
    """Install a server-side hook in a repository."""
    file = repository / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


class GitServer(ThreadingHTTPServer):
    """Serves the repositories of a folder as `https://127.0.0.1:PORT/REPO` to one user.

    /moved/REPO redirects to the same server as localhost. `seen` has (host, Authorization header) of every request.
    """

    daemon_threads = False

    def __init__(
        self,
        folder: Path,
        username: str,
        token: str,
        certificate: Path,
        handler: type[BaseHTTPRequestHandler] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler or GitHandler)
        self.folder = folder
        self.login = "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()
        self.certificate = certificate
        self.seen: list[tuple[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.server_port}/{path}"


class GitHandler(BaseHTTPRequestHandler):
    """Answers the requests of git."""

    server: GitServer
    protocol_version = "HTTP/1.1"
    # the head and the body of a response are two packets, and a client may wait 40 ms before it acknowledges the first
    disable_nagle_algorithm = True

    def is_authorized(self, login: str) -> bool:
        """Whether a header `Authorization` is that of somebody who may read and push."""
        return login == self.server.login

    def do_GET(self) -> None:
        login = self.headers.get("Authorization", "")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append((self.headers["Host"].partition(":")[0], login))
        if self.path.startswith("/moved/"):
            there = f"https://localhost:{self.server.server_port}/{self.path.removeprefix('/moved/')}"
            self.answer(302, {"Location": there}, b"")
        elif not self.is_authorized(login):
            self.answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        else:
            self._backend(body)

    do_POST = do_GET

    def _backend(self, body: bytes) -> None:
        url = urlsplit(self.path)
        env = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "tester",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        self.answer(status, headers, content)

    def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Send a response."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


def create_certificate(folder: Path) -> Path:
    """Create a certificate for this machine, which is its own CA, with the key in a file beside it."""
    certificate = folder / "server.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    files = ["-out", str(certificate), "-keyout", str(certificate.with_suffix(".key"))]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=git -addext"
    subprocess.run([*command.split(), names, *files], check=True, capture_output=True)
    return certificate


@contextmanager
def git_server(folder: Path, *, username: str = "oauth2", token: str) -> Iterator[GitServer]:
    """Serve the repositories of `folder` until the block ends."""
    with running(GitServer(folder, username, token, create_certificate(folder))) as server:
        yield server


@contextmanager
def running(server: S) -> Iterator[S]:
    """Let a server answer until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
