"""The check of a collector's configuration."""

from collections.abc import Sequence
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.site.collector.components import Distribution
from kfp_edge.observability.site.collector.document import read_configuration
from kfp_edge.observability.site.collector.durability import check_durability
from kfp_edge.observability.site.collector.protection import check_protection
from kfp_edge.observability.site.collector.values import check_values
from kfp_edge.observability.site.collector.wiring import check_wiring


def check_collector(files: Sequence[Path], distribution: Distribution = Distribution.SITE) -> list[Finding]:
    """Return what is wrong in a configuration, in the order of the files.

    Args:
        files: Those that the collector is given with `--config`, in the same order; or an OpenTelemetryCollector.
        distribution: Which components there are.

    Raises:
        GitError: a file is not valid YAML, with the line.
        ParameterError: a file cannot be read, or is another object of Kubernetes.
    """
    configuration = read_configuration([(str(path), _read(path)) for path in files])
    findings = {
        *check_wiring(configuration, distribution),
        *check_values(configuration),
        *check_durability(configuration, distribution),
        *check_protection(configuration),
    }
    order = {str(path): number for number, path in enumerate(files)}
    return sorted(findings, key=lambda each: (order[each.file], each.line, each.message))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ParameterError(f"{path} cannot be read: {reason}.") from error
