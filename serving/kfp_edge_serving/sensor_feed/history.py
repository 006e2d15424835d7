"""The last rows of each group, for a server that has lost them."""

from collections import OrderedDict, deque

#: What a row costs beside its text, in bytes.
_OVERHEAD = 80


class History:
    """Rows as they were sent, of the groups that were heard of last; their number and memory are bounded."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rows_kept = 0
        self._groups: OrderedDict[str, deque[bytes]] = OrderedDict()

    def keep_rows(self, number: int) -> None:
        """Keep so many rows of each group from now on."""
        self._rows_kept = number
        for rows in self._groups.values():
            self._shorten(rows)

    def add(self, group: str, row: bytes) -> None:
        """Add the newest row of a group."""
        rows = self._groups.setdefault(group, deque())
        self._groups.move_to_end(group)
        rows.append(row)
        self._bytes += len(row) + _OVERHEAD
        self._shorten(rows)
        while self._bytes > self._max_bytes and len(self._groups) > 1:
            _, forgotten = self._groups.popitem(last=False)
            self._bytes -= sum(map(len, forgotten)) + _OVERHEAD * len(forgotten)

    def rows(self, group: str) -> list[bytes]:
        """Return the rows of a group from the oldest to the newest."""
        return list(self._groups.get(group, ()))

    def _shorten(self, rows: deque[bytes]) -> None:
        while len(rows) > self._rows_kept:
            self._bytes -= len(rows.popleft()) + _OVERHEAD
