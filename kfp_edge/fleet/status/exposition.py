"""What the repository of a fleet says, as metrics: what the hub has to know and no site can report.

A site that was never seen is in no series of its own, and neither is the digest that it should run.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from kfp_edge.fleet.contracts import Ring
from kfp_edge.fleet.status.status import FleetFiles
from kfp_edge.fleet.status.windows import evaluate_windows

#: Of the text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple[dict[str, str], float]


def render_metrics(files: FleetFiles, now: datetime) -> str:
    """Return the metrics of a fleet in the text format of Prometheus.

    Args:
        files: What the repository says.
        now: When it was read; sync windows are open or closed at this time.
    """
    rings = {ring.name: ring for ring in files.fleet.rings}
    families: tuple[tuple[str, str, Iterable[_Sample]], ...] = (
        ("site_offline_after_seconds", "How long a site of its ring may be unseen.", _offline_after(files, rings)),
        ("site_may_change", "1 while a sync window of the site is open, or it has none.", _may_change(files, now)),
        ("wanted_info", "The image that a site should run, by its ring.", _wanted(files)),
        ("wanted_since_timestamp_seconds", "Since when the ring has that image.", _wanted_since(files)),
        ("broken_files", "Files of sites that cannot be read, or name what is not there.", [({}, len(files.broken))]),
        ("read_timestamp_seconds", "When the repository was read.", [({}, now.timestamp())]),
    )
    return "".join(line for family in families for line in _family_lines(*family))


def _family_lines(name: str, text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    full_name = f"kfp_edge_fleet_{name}"
    yield f"# HELP {full_name} {text}\n# TYPE {full_name} gauge\n"
    for labels, value in samples:
        # names of sites, rings and models are DNS labels and need no escapes
        pairs = ",".join(f'{key}="{text}"' for key, text in labels.items())
        yield f"{full_name}{f'{{{pairs}}}' if pairs else ''} {value:.15g}\n"


def _offline_after(files: FleetFiles, rings: dict[str, Ring]) -> Iterator[_Sample]:
    for site in files.sites:
        if ring := rings.get(site.ring):
            yield {"site": site.name, "ring": site.ring}, ring.offline_after.total_seconds()


def _may_change(files: FleetFiles, now: datetime) -> Iterator[_Sample]:
    states = {windows: evaluate_windows(windows, now).is_open for windows in {site.windows for site in files.sites}}
    for site in files.sites:
        yield {"site": site.name, "ring": site.ring}, int(states[site.windows])


def _wanted(files: FleetFiles) -> Iterator[_Sample]:
    for site in files.sites:
        for model in site.models:
            if release := files.releases.get((site.ring, model)):
                yield {"site": site.name, "ring": site.ring, "model": model, "image_digest": release.image.digest}, 1


def _wanted_since(files: FleetFiles) -> Iterator[_Sample]:
    for site in files.sites:
        for model in site.models:
            if release := files.releases.get((site.ring, model)):
                yield {"site": site.name, "ring": site.ring, "model": model}, release.since.timestamp()
