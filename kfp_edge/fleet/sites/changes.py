"""Adds sites to a checkout and removes them: all of them, or none if one cannot be."""

import csv
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import API_VERSION, NAMESPACE, Delivery, Fleet, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import read_new_name, ring_models, select_ring
from kfp_edge.fleet.repository.made_files import changed_made_files
from kfp_edge.fleet.repository.new_repository import render_missing_agents
from kfp_edge.fleet.repository.project_files import site_application_path
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.layout import SITES
from kfp_edge.gitops.tree import Checkout, Edited
from kfp_edge.storage.files import write_files
from kfp_edge.suggestions import describe_unknown_choice, did_you_mean

#: The columns of a table of sites. A list is separated by spaces, as in `press pump` and `region=south hall=7`.
COLUMNS = (
    "name",
    "ring",
    "delivery",
    "cluster",
    "namespace",
    "models",
    "labels",
    "window",
    "duration",
    "time_zone",
    "registry",
    "pull_secret",
)


def add_sites(folder: Path, rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """Write the files of new sites, and those that are made of all sites; return their paths.

    The first site of a delivery brings the files of what delivers, such as the folder `podman`.

    Args:
        folder: A checkout.
        rows: For each site where it comes from, for messages, and its columns; what is missing or empty is the default:
            the first ring, all models of the ring, a hub whose cluster has the name of the site.

    Raises:
        DocumentError: a file of the fleet is not valid.
        ParameterError: a site cannot be added; then none is.
        StorageError: the folder cannot be written; then none is added.
    """
    tree = Checkout(folder)
    fleet = read_fleet(tree)
    present = read_sites(tree)  # one that cannot be read is named before anything is written
    models = {ring: ring_models(tree, ring) for ring in fleet.ring_names}
    sites = [_parse_row(where, row, fleet, models) for where, row in rows]
    for name, count in Counter(site.name for site in sites).items():
        if count > 1:
            raise ParameterError(f"the site {name} is there {count} times; every site needs a name of its own.")
    first = sorted({site.delivery for site in sites} - {site.delivery for site in present})
    files = render_missing_agents(tree, fleet, first)
    for (where, _), site in zip(rows, sites, strict=True):
        if (folder / SITES / site.name).exists():
            raise ParameterError(f"{where}: {SITES}/{site.name} exists already; remove it there, or give another name.")
        files |= render_site(site, {model: read_new_name(tree, site.ring, model) for model in site.models})
    files |= changed_made_files(Edited(tree, files))
    write_files(folder, files)
    return list(files)


def read_table(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a CSV file of sites, each with where it is.

    Raises:
        ParameterError: it cannot be read, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=_find_delimiter(stream), strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise ParameterError(f"{path} cannot be read as CSV: {error}.") from error
    for name in header:
        if name not in COLUMNS:
            raise ParameterError(f"{path}: {describe_unknown_choice('column', name, COLUMNS)}")
    if "name" not in header:
        raise ParameterError(f"{path} has no column name; its first line names the columns, with commas between them.")
    if repeated := [name for name in COLUMNS if header.count(name) > 1]:
        raise ParameterError(f"{path} has {header.count(repeated[0])} columns {repeated[0]}; keep one of them.")
    rows = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise ParameterError(f"{path}, line {number} has {len(cells)} cells, and the header {len(header)}.")
        rows.append((f"{path}, line {number}", dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    if not rows:
        raise ParameterError(f"{path} has no site; add a line for each below the header.")
    return rows


def _find_delimiter(stream: TextIO) -> str:
    """Return what separates the columns in the first line: spreadsheets write semicolons where the comma is decimal."""
    line = stream.readline()
    stream.seek(0)
    return next((delimiter for delimiter in ",;\t" if delimiter in line), ",")


def remove_sites(folder: Path, names: Sequence[str]) -> list[str]:
    """Delete the files of sites, and write those that are made of the others; return the paths of all of them.

    Raises:
        DocumentError: a file of the fleet is not valid.
        ParameterError: there is no such site; then none is removed.
        StorageError: the folder cannot be written.
    """
    tree = Checkout(folder)
    known = {path.name for path in (folder / SITES).glob("*") if path.is_dir()}
    for name in names:
        if name not in known:
            raise ParameterError(f"there is no site {name}; {did_you_mean(name, known)}name a folder of {SITES}/.")
    made = changed_made_files(tree, without=names)
    write_files(folder, made)  # first, since it may fail
    removed = []
    for name in dict.fromkeys(names):
        shutil.rmtree(folder / SITES / name)
        removed.append(f"{SITES}/{name}")
        application = folder / site_application_path(name)
        if application.exists():
            application.unlink()
            removed.append(site_application_path(name))
    return [*removed, *made]


def _parse_row(where: str, row: Mapping[str, str], fleet: Fleet, models: Mapping[str, Sequence[str]]) -> Site:
    def cell(name: str, default: str = "") -> str:
        return row.get(name) or default

    name = cell("name")
    if not name:
        raise ParameterError(f"{where}: the name of the site is missing.")
    try:
        ring = select_ring(fleet, cell("ring"))
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error
    delivery = cell("delivery", Delivery.HUB)
    if delivery not in tuple(Delivery):
        raise ParameterError(f"{where}: {describe_unknown_choice('delivery', delivery, tuple(Delivery))}")
    chosen = cell("models").split() or list(models[ring])
    for model in chosen:
        if model not in models[ring]:
            hint = did_you_mean(model, models[ring])
            has = ", ".join(models[ring]) or "none"
            raise ParameterError(f"{where}: the ring {ring} has no model {model}; {hint}it has {has}.")
    values = {
        "apiVersion": API_VERSION,
        "kind": "Site",
        "name": name,
        "ring": ring,
        "delivery": delivery,
        "cluster": cell("cluster", name if delivery == Delivery.HUB else ""),
        "namespace": cell("namespace", NAMESPACE),
        "models": tuple(chosen),
        "labels": dict(_parse_labels(where, cell("labels").split())),
        "windows": _parse_windows(where, cell("window"), cell("duration"), cell("time_zone", "UTC")),
        "registry": cell("registry"),
        "pullSecret": cell("pull_secret"),
    }
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        given = f"{path} {first['input']!r} " if path else "it "
        raise ParameterError(f"{where}: {given}{first['msg'].removeprefix('Value error, ')}.") from error


def _parse_labels(where: str, texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise ParameterError(f"{where}: the label {text!r} has no value; write KEY=VALUE.")
        yield key, value


def _parse_windows(where: str, schedule: str, duration: str, time_zone: str) -> tuple[dict[str, str], ...]:
    if not schedule:
        if duration:
            raise ParameterError(f"{where}: the duration {duration} has no window; give one such as 0 22 * * *.")
        return ()
    if not duration:
        raise ParameterError(f"{where}: the window {schedule!r} has no duration; give one such as 4h.")
    return ({"schedule": schedule, "duration": duration, "timeZone": time_zone},)
