import os
from pathlib import Path

import pytest

from kfp_edge.runtime.mounts import set_environment_from_mounts

VARIABLES = [
    "REGISTRY_AUTH_FILE",
    "KFP_EDGE_REGISTRY_CERT_DIR",
    "KFP_EDGE_GIT_TOKEN_FILE",
    "KFP_EDGE_GIT_USERNAME",
    "KFP_EDGE_GIT_CA_FILE",
    "KFP_EDGE_FORGE_TOKEN_FILE",
    "KFP_EDGE_METRICS_TOKEN_FILE",
    "KFP_EDGE_METRICS_CA_FILE",
    "KFP_EDGE_METRICS_URL",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
]


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a pod's secrets are mounted; none is yet, and no variable is set."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what the code sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("KFP_EDGE_MOUNTS", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def variables_set() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def test_without_mounts_nothing_is_set(mounts: Path) -> None:
    set_environment_from_mounts()
    assert variables_set() == {}


def test_a_mounted_registry_secret_is_the_login_of_the_registry(mounts: Path) -> None:
    path = put(mounts, "registry/.dockerconfigjson")
    set_environment_from_mounts()
    assert variables_set() == {"REGISTRY_AUTH_FILE": str(path)}


def test_a_mounted_git_secret_gives_user_and_token_of_git(mounts: Path) -> None:
    put(mounts, "git/username", "robot\n")
    path = put(mounts, "git/password")
    set_environment_from_mounts()
    assert variables_set() == {"KFP_EDGE_GIT_USERNAME": "robot", "KFP_EDGE_GIT_TOKEN_FILE": str(path)}


def test_a_mounted_forge_secret_gives_the_token_of_pull_requests(mounts: Path) -> None:
    path = put(mounts, "forge/token")
    set_environment_from_mounts()
    assert variables_set() == {"KFP_EDGE_FORGE_TOKEN_FILE": str(path)}


def test_a_mounted_metrics_secret_gives_token_and_certificate(mounts: Path) -> None:
    put(mounts, "ca/ca-bundle.crt")
    token, certificate = put(mounts, "metrics/token"), put(mounts, "metrics/ca.crt")
    set_environment_from_mounts()
    assert variables_set()["KFP_EDGE_METRICS_TOKEN_FILE"] == str(token)
    assert variables_set()["KFP_EDGE_METRICS_CA_FILE"] == str(certificate)


def test_a_mounted_metrics_secret_gives_the_url(mounts: Path) -> None:
    put(mounts, "metrics/url", "https://thanos.example\n")
    set_environment_from_mounts()
    assert variables_set() == {"KFP_EDGE_METRICS_URL": "https://thanos.example"}


def test_mounted_certificates_are_trusted_everywhere(mounts: Path) -> None:
    path = put(mounts, "ca/ca-bundle.crt")
    set_environment_from_mounts()
    assert variables_set() == {
        "KFP_EDGE_REGISTRY_CERT_DIR": str(path.parent),
        "KFP_EDGE_GIT_CA_FILE": str(path),
        "KFP_EDGE_METRICS_CA_FILE": str(path),
        "AWS_CA_BUNDLE": str(path),
        "REQUESTS_CA_BUNDLE": str(path),
    }


def test_a_variable_that_is_set_takes_precedence(mounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(mounts, "registry/.dockerconfigjson")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "mine")
    set_environment_from_mounts()
    assert variables_set() == {"REGISTRY_AUTH_FILE": "mine"}
