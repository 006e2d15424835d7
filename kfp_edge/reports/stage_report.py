"""The report of a stage, as a notebook shows it."""

from html import escape

#: Pixels of a report in a notebook; a longer one scrolls.
_HEIGHT = 640


class StageReport(str):
    """The report of a stage, an HTML page or Markdown, which a notebook renders."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return an HTML page in a sandboxed frame, so that neither its style nor a script reaches the notebook."""
        return f"<div>{self.frame(_HEIGHT)}</div>" if self.is_page else None

    def _repr_markdown_(self) -> str:
        return str(self)

    @property
    def is_page(self) -> bool:
        """Whether it is an HTML page; it is Markdown otherwise."""
        return self.lstrip().startswith("<")

    def frame(self, height: int) -> str:
        """Return the page in a sandboxed frame that is so many pixels high."""
        style = "border:0;background:#fff"  # or a dark notebook would shine through
        return f'<iframe sandbox srcdoc="{escape(self)}" width="100%" height="{height}" style="{style}"></iframe>'
