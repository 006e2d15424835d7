"""Lines and columns of what stands in a YAML file, and of its comments."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from kfp_edge.spec.documents import PipelineFile
from kfp_edge.spec.fields import at

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*kfp-edge:\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Position:
    """Where something begins, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Comment:
    """A comment that speaks to us: what follows `# kfp-edge:`, where it stands, whether it has a line of its own."""

    text: str
    place: Position
    alone: bool


class SourceMap:
    """Where the values of a file stand."""

    def __init__(self, file: PipelineFile) -> None:
        self._text = file.text
        self._lines = [0, *(match.end() for match in re.finditer("\n", file.text))]
        self._paths: dict[str, int] = {}
        self._scalars: list[tuple[int, int]] = []
        seen: set[int] = set()
        for document in file.documents:
            self._walk(document.node, document.path, seen)
        self._scalars.sort()

    def around(self, path: str) -> list[Position]:
        """Return where a path stands, preceded by all that it stands in, the outermost first; [] for a whole file."""
        ends = [*(end for end, character in enumerate(path) if character in ".["), len(path)]
        return [self._place(self._paths[path[:end]]) for end in ends if path[:end] in self._paths]

    def comments(self) -> Iterator[Comment]:
        """Yield the comments that speak to us; what looks like one inside a text is none."""
        for match in _COMMENT.finditer(self._text):
            if not self._in_scalar(match.start()):
                place = self._place(match.start())
                before = self._text[self._lines[place.line - 1] : match.start()]
                yield Comment(match.group(1), place, not before.strip())

    def _walk(self, node: yaml.Node, path: str, seen: set[int]) -> None:
        if id(node) in seen:  # an alias; what it names stands elsewhere, perhaps around it
            return
        seen.add(id(node))
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    place = at(path, key.value)
                    self._paths.setdefault(place, key.start_mark.index)
                    self._walk(key, place, seen)
                    self._walk(value, place, seen)
            case yaml.SequenceNode():
                for index, item in enumerate(node.value):
                    place = f"{path}[{index}]"
                    self._paths.setdefault(place, item.start_mark.index)
                    self._walk(item, place, seen)
            case yaml.ScalarNode():
                start, end = node.start_mark.index, node.end_mark.index
                # the first line of a block scalar holds its mark and perhaps a comment, but no text
                self._scalars.append((self._text.find("\n", start) if node.style in ("|", ">") else start, end))

    def _place(self, index: int) -> Position:
        line = bisect.bisect_right(self._lines, index)
        return Position(line, index - self._lines[line - 1] + 1)

    def _in_scalar(self, index: int) -> bool:
        before = bisect.bisect_right(self._scalars, (index, len(self._text))) - 1
        return before >= 0 and index < self._scalars[before][1]
