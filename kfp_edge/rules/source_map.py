"""The lines and columns of the values in a YAML file, and of its comments."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from kfp_edge.spec.pipeline_file import PipelineFile
from kfp_edge.spec.validation.lint_findings import join_path

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*kfp-edge:\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Position:
    """A position in a file; lines and columns are counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Comment:
    """A `# kfp-edge:` comment.

    Attributes:
        text: what follows `# kfp-edge:`.
        position: where the comment starts.
        has_own_line: whether nothing but the comment is on its line.
    """

    text: str
    position: Position
    has_own_line: bool


class SourceMap:
    """Maps the paths of a file's values to their positions."""

    def __init__(self, file: PipelineFile) -> None:
        self._text = file.text
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", file.text))]
        self._index_of_path: dict[str, int] = {}
        self._scalars: list[tuple[int, int]] = []
        visited: set[int] = set()
        for document in file.documents:
            self._walk(document.node, document.path, visited)
        self._scalars.sort()

    def positions(self, path: str) -> list[Position]:
        """Return the positions of all values that enclose a path, the outermost first, and of the value itself.

        The list is empty for the path of a whole file.
        """
        ends = [*(end for end, character in enumerate(path) if character in ".["), len(path)]
        return [self._position(self._index_of_path[path[:end]]) for end in ends if path[:end] in self._index_of_path]

    def comments(self) -> Iterator[Comment]:
        """Yield the `# kfp-edge:` comments; what looks like one inside a text is not a comment."""
        for match in _COMMENT.finditer(self._text):
            if not self._is_in_scalar(match.start()):
                position = self._position(match.start())
                before = self._text[self._line_starts[position.line - 1] : match.start()]
                yield Comment(match.group(1), position, not before.strip())

    def _walk(self, node: yaml.Node, path: str, visited: set[int]) -> None:
        if id(node) in visited:  # an alias; its anchor is elsewhere, perhaps in an enclosing node
            return
        visited.add(id(node))
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    key_path = join_path(path, key.value)
                    self._index_of_path.setdefault(key_path, key.start_mark.index)
                    self._walk(key, key_path, visited)
                    self._walk(value, key_path, visited)
            case yaml.SequenceNode():
                for index, item in enumerate(node.value):
                    item_path = f"{path}[{index}]"
                    self._index_of_path.setdefault(item_path, item.start_mark.index)
                    self._walk(item, item_path, visited)
            case yaml.ScalarNode():
                start, end = node.start_mark.index, node.end_mark.index
                # the first line of a block scalar has its indicator and perhaps a comment, but no text
                self._scalars.append((self._text.find("\n", start) if node.style in ("|", ">") else start, end))

    def _position(self, index: int) -> Position:
        line = bisect.bisect_right(self._line_starts, index)
        return Position(line, index - self._line_starts[line - 1] + 1)

    def _is_in_scalar(self, index: int) -> bool:
        before = bisect.bisect_right(self._scalars, (index, len(self._text))) - 1
        return before >= 0 and index < self._scalars[before][1]
