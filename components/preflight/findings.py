"""What a check found: all of it in one error, each finding one sentence."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kfp_edge.errors import KfpEdgeError, ParameterError

#: Checks that wait for a network at the same time.
_PARALLEL_CHECKS = 8

#: Raises a `KfpEdgeError` when something is wrong.
Check = Callable[[], object]


def collect(checks: Iterable[Check]) -> list[str]:
    """Run checks, at the same time where they wait, and return the messages of those that failed, in order."""
    with ThreadPoolExecutor(_PARALLEL_CHECKS) as executor:
        messages = executor.map(_run, checks)
        return list(dict.fromkeys(message for message in messages if message))


def raise_findings(findings: list[str]) -> None:
    """Raise one error with all findings, if there are any.

    Raises:
        ParameterError: with the finding, or with all of them, numbered.
    """
    if len(findings) == 1:
        raise ParameterError(findings[0])
    if findings:
        numbered = " ".join(f"({number}) {finding}" for number, finding in enumerate(findings, start=1))
        raise ParameterError(f"{len(findings)} things have to be changed before the first stage: {numbered}")


def _run(check: Check) -> str:
    try:
        check()
    except KfpEdgeError as error:
        return str(error)
    return ""
