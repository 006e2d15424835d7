"""The template: every placeholder has a value, and values cannot break out of their quotes."""

import re
import tomllib

import pytest
import yaml

from kfp_edge.gitops.template_files import Part, render_part
from support.paths import ROOT

VALUES = {
    name: f"value-of-{name}"
    for name in [
        "fleet",
        "repository",
        "branch",
        "namespace",
        "model",
        "ring",
        "image",
        "image_name",
        "digest",
        "site",
        "serving",
    ]
}
BLOCKS = {"rings": "  - name: canary", "windows": "[]"}


@pytest.mark.parametrize("part", list(Part))
def test_every_placeholder_of_a_part_is_filled(part: Part) -> None:
    files = render_part(part, VALUES, BLOCKS)
    assert files
    for path, data in files.items():
        assert not re.search("__[a-z_]+__", path + data.decode()), path


@pytest.mark.parametrize("part", [part for part in Part if part != Part.PODMAN])
def test_a_value_with_quotes_is_still_one_value(part: Part) -> None:
    odd = {name: f'a"b\\c: {{{name}}}' for name in VALUES}
    files = render_part(part, odd | {"model": "m", "ring": "r", "site": "s"}, BLOCKS)
    for path, data in files.items():
        if path.endswith(".yaml"):
            assert list(yaml.safe_load_all(data))


def test_every_folder_is_a_part_and_every_file_is_in_the_wheel() -> None:
    template = ROOT / "deploy/gitops"
    folders = {path.name for path in template.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(Part)
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert data["kfp_edge.gitops.template"] == ["**/*"]
    # setuptools takes no file whose name begins with a dot
    assert not list(template.rglob(".*"))
