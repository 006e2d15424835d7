"""The environment of git: access token, CA certificate and author, and nothing else of the user's configuration."""

import os
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.git.remote import GitRemote
from kfp_edge.runtime.process import run

_DEFAULT_AUTHOR = ("kfp-edge", "kfp-edge@localhost")
_CREDENTIAL_HELPER = (
    '!f() { test "$1" = get || return 0; '
    'printf "username=%s\\npassword=%s\\n" "$KFP_EDGE_GIT_USERNAME" "$KFP_EDGE_GIT_TOKEN"; }; f'
)


def read_token(variable: str = "KFP_EDGE_GIT_TOKEN") -> str:
    """Return an access token, empty if there is none.

    Args:
        variable: The environment variable with the token; that with `_FILE` behind it names a file that contains one.

    Raises:
        ParameterError: an environment variable is not valid.
    """
    if token := _read_variable(variable):
        return token
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        return ""
    try:
        return _validate(f"{variable}_FILE", Path(file).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{variable}_FILE is {file}, which cannot be read as text.") from error


def git_environment(remote: GitRemote, token: str, global_config: Path) -> dict[str, str]:
    """Return the environment of git for a remote; `global_config` takes the place of `~/.gitconfig`.

    Raises:
        ParameterError: an environment variable is not valid.
    """
    config = {}
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "KFP_EDGE_GIT_"))}
    if token:
        env["KFP_EDGE_GIT_TOKEN"] = token
        env["KFP_EDGE_GIT_USERNAME"] = _read_variable("KFP_EDGE_GIT_USERNAME", "oauth2")
        config[f"credential.{remote.origin}.helper"] = _CREDENTIAL_HELPER
    if remote.origin and (ca_file := os.environ.get("KFP_EDGE_GIT_CA_FILE")):
        if not Path(ca_file).is_file():
            raise ParameterError(f"KFP_EDGE_GIT_CA_FILE is {ca_file}, which is not a file.")
        config["http.sslCAInfo"] = str(Path(ca_file).resolve())
    for index, (key, value) in enumerate(config.items()):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    author, email = _read_author()
    return env | {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(global_config),
        "GIT_CONFIG_COUNT": str(len(config)),
        "GIT_ALLOW_PROTOCOL": "file:https",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_AUTHOR_NAME": author,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": author,
        "GIT_COMMITTER_EMAIL": email,
    }


def _read_variable(name: str, default: str = "") -> str:
    return _validate(name, os.environ.get(name) or default)


def _validate(name: str, value: str) -> str:
    if not value.strip().isprintable():
        raise ParameterError(f"{name} must be one line of printable text.")
    return value.strip()


def _read_author() -> tuple[str, str]:
    name = os.environ.get("GIT_AUTHOR_NAME") or _read_user_config("user.name")
    email = os.environ.get("GIT_AUTHOR_EMAIL") or _read_user_config("user.email")
    return (name, email) if name and email else _DEFAULT_AUTHOR


def _read_user_config(key: str) -> str:
    return run(["git", "config", "--default", "", "--get", key]).strip()
