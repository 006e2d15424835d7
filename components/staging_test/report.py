"""The report of a staging test, in Markdown."""

from collections.abc import Sequence

from kfp_edge.images.oci.references import ImageRef
from kfp_edge.reports.check import Check
from kfp_edge.reports.markdown import format_table, to_plain_text

_LOG_LINES = 200


def render_report(image: ImageRef, checks: Sequence[Check], failure: str, log: str) -> str:
    """Return the report: the verdict, a row for every check, and the container's log if `failure` is not empty."""
    rows = [
        (check.name, "passed" if check.passed else "**failed**", *map(to_plain_text, (check.measured, check.required)))
        for check in checks
    ]
    table = format_table(("check", "result", "measured", "required"), rows)
    text = f"# Staging test of {image.name}\n\n`{image}`\n\n{failure or 'Passed.'}\n\n{table}\n"
    if not failure:
        return text
    return f"{text}\n## Log of the container\n\n{_code_block(last_lines(log)) or 'The container wrote nothing.'}\n"


def last_lines(log: str) -> str:
    """Return the last lines of a log, as many as a report has."""
    return "\n".join(log.splitlines()[-_LOG_LINES:])


def _code_block(log: str) -> str:
    """Return an indented code block, which no line of the log can end."""
    return "\n".join(f"    {line}" for line in log.splitlines())
