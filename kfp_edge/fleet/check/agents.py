"""Checks that what delivers to the sites follows the repository and the branch that `fleet.yaml` names.

These files are written once, and nothing changes them with `fleet.yaml`.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch

import yaml

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.fleet.check.nodes import items, line_of, text_of
from kfp_edge.fleet.contracts import Fleet

#: The settings of a site without Kubernetes, as its operator copies them.
PODMAN_SETTINGS = "podman/kfp-edge-site.env"
_FOLDERS = ("argocd/hub/", "argocd/project/", "acm/")
_REPOSITORY_KEYS = ("repoURL", "sourceRepos")
_BRANCH_KEYS = ("revision", "targetRevision")
_SETTING = re.compile(r"(KFP_EDGE_(REPOSITORY|BRANCH))=(\S+)")
# the scheme with a user, or git@HOST:
_BEFORE_HOST = re.compile(r"^([a-z+]+://)?([^/@]+@)?")


def check_agents(fleet: Fleet, contents: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield what follows another repository or branch than that of `fleet.yaml`.

    Args:
        fleet: The contents of `fleet.yaml`.
        contents: The contents of files by their paths.
    """
    for path, data in contents.items():
        if path == PODMAN_SETTINGS:
            yield from _check_settings(fleet, data)
        elif path.startswith(_FOLDERS):
            yield from _check_objects(fleet, path, data)


def _check_settings(fleet: Fleet, data: bytes) -> Iterator[Finding]:
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        if match := _SETTING.fullmatch(line):
            key = "repository" if match[2] == "REPOSITORY" else "branch"
            wanted = fleet.repository if key == "repository" else fleet.branch
            if match[3] != wanted:
                yield _describe(PODMAN_SETTINGS, number, key, match[3], wanted)


def _check_objects(fleet: Fleet, path: str, data: bytes) -> Iterator[Finding]:
    try:
        documents = list(yaml.compose_all(data, yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = getattr(error, "problem", None) or "it cannot be read"
        mark = getattr(error, "problem_mark", None)
        yield Finding(path, mark.line + 1 if mark else 0, f"is not valid YAML: {reason}.")
        return
    scalars = [each for document in documents for each in _find_values(document)]
    repositories = [(text, line) for key, text, line in scalars if key in _REPOSITORY_KEYS]
    if repositories and not any(_is_repository(text, fleet.repository) for text, _ in repositories):
        yield _describe(path, repositories[0][1], "repository", repositories[0][0], fleet.repository)
    branches = [(text, line) for key, text, line in scalars if key in _BRANCH_KEYS]
    if branches and not any(text in (fleet.branch, "HEAD", "") or "{{" in text for text, _ in branches):
        yield _describe(path, branches[0][1], "branch", branches[0][0], fleet.branch)


def _find_values(node: yaml.Node | None) -> Iterator[tuple[str, str, int]]:
    """Yield key, text and line of the texts below a node; those of a list have the key of the list."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        for each in items(value) or [value]:
            if (text := text_of(each)) is not None:
                yield str(key.value), text, line_of(each)
            yield from _find_values(each)


def _is_repository(text: str, repository: str) -> bool:
    """Whether an address, a pattern of Argo CD or a template may be this repository, over https or SSH."""
    return "{{" in text or fnmatch(_normalize(repository), _normalize(text))


def _normalize(url: str) -> str:
    return _BEFORE_HOST.sub("", url).replace(":", "/", 1).removesuffix("/").removesuffix(".git").casefold()


def _describe(path: str, line: int, key: str, followed: str, wanted: str) -> Finding:
    message = f"follows the {key} {followed}, and `{key}` of fleet.yaml is {wanted}; correct one of them."
    return Finding(path, line, message, "warning")
