"""The page for offline sites is run from its first command to its last, as an owner and an operator would do it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_edge.images.registry import copy_image
from support.git_repositories import isolate
from support.images import tiny_base
from support.offline_sites import OfflineFleet, create_offline_fleet
from support.paths import ROOT
from support.registry import RegistryServer

PAGE = ROOT / "docs/offline-sites.md"
#: Blocks of commands, of which those that are not ours are indented.
_BLOCK = re.compile(r"^```sh\n(.*?)^```|((?:^    \S[^\n]*\n)+)", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Return the commands of a page in their order."""
    blocks = [match[1] or match[2] for match in _BLOCK.finditer(page.read_text())]
    return [line.strip() for block in blocks for line in block.splitlines()]


def programs(page: Path) -> set[str]:
    return {command.split()[0] for command in commands(page)}


def test_the_page_names_every_command_and_those_of_the_tools_around_them() -> None:
    assert programs(PAGE) == {"kfp-edge", "openssl", "git", "skopeo", "docker-registry"}
    ours = {command.split()[2] for command in commands(PAGE) if command.startswith("kfp-edge mirror ")}
    assert ours == {"inventory", "export", "import", "prune", "mirror-set"}
    readme = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("kfp-edge mirror ")]
    assert set(readme) <= set(commands(PAGE))


@pytest.mark.containers
def test_every_command_of_the_page_works_as_written(
    tmp_path: Path, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(monkeypatch, tmp_path)
    fleet = create_offline_fleet(tmp_path, registry.host)
    released = fleet.commit(copy_image(tiny_base(tmp_path / "image"), fleet.source("press"), "1.4.0"))
    _arrange(fleet, registry)
    for command in commands(PAGE):
        words = shlex.split(command.replace("HEX", released.digest.removeprefix("sha256:")))
        env = _environment(words[0])
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, command + done.stdout + done.stderr


def _environment(program: str) -> dict[str, str]:
    """Return the environment with our command; Distribution takes what is meant for Skopeo for options of its own."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return {name: value for name, value in env.items() if program != "docker-registry" or "REGISTRY_" not in name}


def _arrange(fleet: OfflineFleet, registry: RegistryServer) -> None:
    """Put the files where the page has them: a checkout of the fleet, and the configuration of the site's registry."""
    settings = fleet.clone / "fleet.yaml"
    text = re.sub("^repository: .*", f"repository: {fleet.repository}", settings.read_text(), flags=re.MULTILINE)
    settings.write_text(text)
    fleet.push()
    fleet.clone.rename(fleet.folder / "edge-sites")
    shutil.copy(registry.auth_file.with_name("config.yml"), fleet.folder)
