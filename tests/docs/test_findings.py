"""Entries in findings/ have their form: what was tried, expected and seen, with fixed versions. They are not run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

ENTRIES = sorted((ROOT / "findings").glob("*.sh"))
SECTIONS = ("Versions", "Expected", "Seen", "Output seen", "Why it matters here", "Upstream")
entry = pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)


def _head(path: Path) -> str:
    """Return the comment at the top of a script, without the shebang."""
    _, *lines = path.read_text().splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line.removeprefix("#").strip() for line in lines[:end])


def _pip_arguments(path: Path) -> list[str]:
    """Return the package names and versions that a script gives to pip."""
    joined = path.read_text().replace("\\\n", " ")
    commands = re.findall(r'/pip" install (.*)', joined)
    return [word.strip("\"'") for command in commands for word in command.split() if not word.startswith("--")]


def test_there_are_entries():
    assert len(ENTRIES) >= 4


@entry
def test_an_entry_is_a_bash_program_that_stops_at_errors(path):
    text = path.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


@entry
def test_an_entry_leaves_nothing_behind(path):
    text = path.read_text()
    assert "folder=$(mktemp -d)" in text
    assert "trap 'rm -rf \"$folder\"' EXIT" in text


@entry
@pytest.mark.parametrize("section", SECTIONS)
def test_the_head_of_an_entry_has_each_section(path, section):
    assert re.search(rf"^{section}\b.*:", _head(path), re.MULTILINE)


@entry
def test_the_head_names_versions(path):
    (versions,) = re.findall(r"^Versions: (.*)", _head(path), re.MULTILINE)
    assert re.search(r"\d+\.\d+", versions)


@entry
def test_every_package_is_of_a_fixed_version(path):
    assert [word for word in _pip_arguments(path) if "==" not in word] == []


@entry
def test_an_entry_does_not_use_this_project(path):
    code = path.read_text().split("set -euo pipefail", 1)[1]
    assert not re.search(r"kfp[_-]edge", code)


def test_the_table_lists_every_entry():
    listed = re.findall(r"^\| `([\w.-]+\.sh)` \|", (ROOT / "findings/README.md").read_text(), re.MULTILINE)
    assert listed == [path.name for path in ENTRIES]
