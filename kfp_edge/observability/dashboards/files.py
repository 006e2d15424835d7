"""Writes the dashboards: as JSON, which Grafana imports, and as the custom resources of its operator."""

from collections.abc import Iterator
from pathlib import Path

from kfp_edge.errors import RequirementsNotMetError
from kfp_edge.observability.block_yaml import dump_blocks
from kfp_edge.observability.dashboards.all_dashboards import DASHBOARDS
from kfp_edge.storage.files import write_file

#: The labels of the Grafana that shows them, as in the examples of its operator.
_INSTANCE = {"dashboards": "grafana"}
_FOLDER = "kfp-edge"
_HEAD = "# Written by `kfp-edge observe dashboards`.\n"


def render_dashboards() -> dict[str, str]:
    """Return the texts of all files, by name.

    Raises:
        RequirementsNotMetError: the SDK of Grafana is not installed.
    """
    try:
        from kfp_edge.observability.dashboards.grafana import to_json
    except ModuleNotFoundError as error:
        raise RequirementsNotMetError(
            f"writing dashboards needs the package {error.name}: pip install 'kfp-edge[dashboards]'."
        ) from error
    files = {}
    for dashboard in DASHBOARDS:
        document = to_json(dashboard)
        resource = {
            "apiVersion": "grafana.integreatly.org/v1beta1",
            "kind": "GrafanaDashboard",
            "metadata": {"name": dashboard.name, "labels": {"app.kubernetes.io/part-of": "kfp-edge"}},
            "spec": {
                "allowCrossNamespaceImport": True,
                "folder": _FOLDER,
                "instanceSelector": {"matchLabels": _INSTANCE},
                "json": document,
            },
        }
        files[f"{dashboard.name}.json"] = document
        files[f"{dashboard.name}.yaml"] = _HEAD + dump_blocks(resource)
    return files


def write_dashboards(folder: Path) -> list[Path]:
    """Write all files into a folder and return their paths.

    Raises:
        RequirementsNotMetError: the SDK of Grafana is not installed.
        StorageError: they cannot be written.
    """
    paths = []
    for name, text in render_dashboards().items():
        write_file(folder / name, text.encode())
        paths.append(folder / name)
    return paths


def outdated_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are missing, or are not what is written now.

    Raises:
        RequirementsNotMetError: the SDK of Grafana is not installed.
    """
    for name, text in render_dashboards().items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            yield path
