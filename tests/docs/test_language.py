"""Names and prose use the terms of the field: the glossary lists them, and the words that stand for none."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

GLOSSARY = ROOT / "docs/glossary.md"
PRODUCT = ("kfp_edge", "components", "pipelines", "serving/kfp_edge_serving", "deploy", "docs", "notebooks", "scripts")
DOCUMENTS = ("*.md", "docs/*.md", "*/README.md", "components/*/README.md", "deploy/*/README.md")
#: Written by `make bench`.
GENERATED = ROOT / "docs/benchmarks.md"
_WIDTH = 120


def _files(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def _replaced() -> list[set[str]]:
    """Return what the glossary replaces: the words, and the names."""
    section = GLOSSARY.read_text().partition("## Words that we do not use\n")[2]
    tables = re.findall(r"^\| not \| but \|\n\|---\|---\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    return [{word.strip() for row in table.splitlines() for word in row.split("|")[1].split(",")} for table in tables]


WORDS, NAMES = _replaced()
SOURCES = [path for path in _files(*PRODUCT) if path.suffix in (".py", ".md", ".sh", ".yaml") and path != GLOSSARY]


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line number and its words; names are taken apart at underscores and capitals."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", line):
            yield number, word.lower()


def _names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name, without leading underscores, of all that Python code defines or assigns."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.lower().strip("_")
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.lower().strip("_")
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, (node.id if isinstance(node, ast.Name) else node.attr).lower().strip("_")


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "README.md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_uses_no_word_that_the_glossary_replaces(path: Path) -> None:
    text = path.read_text()
    used = [f"line {number}: {word}" for number, word in _words(text) if word in WORDS]
    if path.suffix == ".py":
        used += [f"line {number}: {name}" for number, name in _names(text) if name in NAMES]
    assert used == [], "docs/glossary.md lists what to write instead"


def test_a_replaced_word_inside_a_name_is_noticed() -> None:
    assert {"workshop", "told"} <= {word for _, word in _words("class BigWorkshop:\n    _was_told = True")} & WORDS


def test_a_replaced_name_is_noticed_wherever_it_is_defined() -> None:
    source = "def heads(turns): ...\nclass A:\n    def b(self):\n        self._observed = found = 1"
    assert {name for _, name in _names(source)} & NAMES == {"heads", "turns", "observed", "found"}


def test_every_term_of_the_glossary_is_where_it_says() -> None:
    folders = re.findall(r"`([\w/]+/)`", GLOSSARY.read_text())
    assert len(folders) > 30
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


@pytest.mark.parametrize("path", _files(*DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_fits_the_width(path: Path) -> None:
    """Tables, code and comments for `make docs` may be wider, since nothing can wrap them."""
    wide = r"^ *```.*?^ *```|^ *\|.*?$|^    .*?$|^<!--.*?$"
    prose = re.sub(wide, "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert path == GENERATED or [line for line in prose.splitlines() if len(line) > _WIDTH] == []
