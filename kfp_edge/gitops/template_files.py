"""The files of the template in `deploy/gitops`, filled in.

Each folder there is a part of the template; below it are the paths of a repository. `__name__` in a path or in a text
is a placeholder; in YAML, it is inside double quotes.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import kfp_edge.gitops.template

_TEMPLATE = Path(kfp_edge.gitops.template.__file__).parent
_PLACEHOLDER = re.compile("__([a-z_]+?)__")


class Part(StrEnum):
    """A part of the template: the folder in `deploy/gitops`."""

    FLEET = "fleet"
    DEPLOYMENT = "deployment"
    KSERVE = "kserve"
    ARGOCD_PROJECT = "argocd-project"
    ARGOCD_HUB = "argocd-hub"
    ARGOCD_SITE = "argocd-site"
    ACM = "acm"
    PODMAN = "podman"


def render_part(part: Part, values: Mapping[str, str], blocks: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the files of a part by their paths in the repository.

    Args:
        part: Which part.
        values: What takes the place of the placeholders, by their names; escaped for double quotes.
        blocks: The same, for placeholders that stand for YAML and are not escaped.
    """
    texts = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in values.items()} | dict(blocks or {})

    def fill(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: texts[match[1]], text)

    root = _TEMPLATE / part
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {fill(path.relative_to(root).as_posix()): fill(path.read_text(encoding="utf-8")).encode() for path in files}
