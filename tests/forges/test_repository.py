"""The address of the API follows from that of the repository, or is given."""

import pytest

from kfp_edge.errors import ParameterError
from kfp_edge.forges.repository import locate_repository
from kfp_edge.git.remote import GitRemote


@pytest.mark.parametrize(
    ("kind", "remote", "api_url", "path"),
    [
        ("github", "https://github.com/plant/sites.git", "https://api.github.com", "plant/sites"),
        ("github", "https://github.com/plant/sites", "https://api.github.com", "plant/sites"),
        ("github", "https://www.github.com/plant/sites/", "https://api.github.com", "plant/sites"),
        ("github", "https://plant.ghe.com/lines/sites", "https://api.plant.ghe.com", "lines/sites"),
        ("github", "https://git.plant.example/lines/sites.git", "https://git.plant.example/api/v3", "lines/sites"),
        ("gitlab", "https://gitlab.com/plant/sites.git", "https://gitlab.com/api/v4", "plant/sites"),
        (
            "gitlab",
            "https://git.plant.example:8443/a/b/c/sites",
            "https://git.plant.example:8443/api/v4",
            "a/b/c/sites",
        ),
        ("gitea", "https://gitea.plant.example/lines/sites.git", "https://gitea.plant.example/api/v1", "lines/sites"),
        ("forgejo", "https://codeberg.org/plant/sites.git", "https://codeberg.org/api/v1", "plant/sites"),
    ],
)
def test_the_usual_addresses(kind, remote, api_url, path):
    repository = locate_repository(kind, GitRemote.parse(remote))
    assert (repository.api_url, repository.path) == (api_url, path)


@pytest.mark.parametrize(
    ("kind", "remote", "api_url", "path"),
    [
        ("gitea", "https://host.example/git/lines/sites.git", "https://host.example/git/api/v1/", "lines/sites"),
        ("gitlab", "https://host.example/gitlab/a/b/sites.git", "https://host.example/gitlab/api/v4", "a/b/sites"),
        ("gitlab", "https://host.example/gitlab-a/b", "https://host.example/gitlab/api/v4", "gitlab-a/b"),
        ("gitea", "https://git.example/lines/sites.git", "https://api.git.example/gitea/api/v1", "lines/sites"),
        ("gitea", "https://git.example/lines/sites.git", "http://localhost:3000/api/v1", "lines/sites"),
    ],
)
def test_a_forge_under_a_path_prefix_or_on_another_host(kind, remote, api_url, path):
    repository = locate_repository(kind, GitRemote.parse(remote), api_url)
    assert (repository.api_url, repository.path) == (api_url.rstrip("/"), path)


@pytest.mark.parametrize(
    ("kind", "remote", "api_url", "reason"),
    [
        ("githup", "https://github.com/a/b", "", "the kind of the forge is 'githup'; did you mean github"),
        ("bitbucket", "https://bitbucket.org/a/b", "", "choose one of github, gitlab, gitea, forgejo"),
        ("github", "https://github.com/sites", "", "is not OWNER/REPOSITORY"),
        ("gitea", "https://host.example/git/lines/sites", "", "https://host.example/PREFIX/api/v1"),
        ("gitlab", "https://gitlab.com/sites", "", "is not GROUP/PROJECT"),
        ("gitea", "https://h.example/a/b", "http://h.example/api/v1", "would send the token unencrypted"),
        ("gitea", "https://h.example/a/b", "https://u:s3cret@h.example/api/v1", "without credentials"),
        ("gitea", "https://h.example/a/b", "h.example/api/v1", "must be https://HOST/PATH"),
        ("gitea", "https://h.example/a/b", "https://h.example/api/v1?token=s3cret", "without credentials or a query"),
    ],
)
def test_an_address_of_no_repository_is_refused_without_its_credentials(kind, remote, api_url, reason):
    with pytest.raises(ParameterError, match=reason) as error:
        locate_repository(kind, GitRemote.parse(remote), api_url)
    assert "s3cret" not in str(error.value)


def test_a_folder_has_no_pull_requests(tmp_path):
    (tmp_path / "HEAD").write_text("ref: refs/heads/main\n")
    with pytest.raises(ParameterError, match="is a folder, and pull requests need a forge"):
        locate_repository("github", GitRemote.parse(str(tmp_path)))
