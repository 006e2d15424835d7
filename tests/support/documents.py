"""The documents of this repository, and what stands in their blocks of code."""

import re
from collections.abc import Sequence
from pathlib import Path

from support.paths import ROOT

#: What users read first: the README, and the pages of docs/.
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def read_blocks(document: Path, language: str) -> list[str]:
    """Return the blocks of code in a language; those in a list are indented."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", document.read_text(), re.DOTALL | re.MULTILINE)


def list_commands(documents: Sequence[Path] = DOCUMENTS) -> list[str]:
    """Return the commands in the documents, each once and in one line."""
    blocks = [block.replace("\\\n", "") for document in documents for block in read_blocks(document, "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    return sorted({line.partition(" #")[0].strip() for line in lines if line.strip()})
