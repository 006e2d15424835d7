"""The status of a fleet: for each site and model what it should run, what it reports, and since when these differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import Fleet, Metrics, Ring, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.history import RingRelease, read_current
from kfp_edge.fleet.releases.ring_images import ring_models
from kfp_edge.fleet.sites.sites import find_sites
from kfp_edge.fleet.status.reports import SiteReports, read_reports
from kfp_edge.fleet.status.windows import WindowState, evaluate_windows
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.changes import missing_branch_error
from kfp_edge.gitops.layout import site_file
from kfp_edge.gitops.tree import Commit
from kfp_edge.prometheus import Prometheus

#: How far back a site that is not seen now is looked for.
HORIZON = timedelta(days=7)
#: Farther back, Prometheus would take minutes.
LONGEST_HORIZON = timedelta(days=60)


class State(StrEnum):
    """What a site does with a model, the most urgent first."""

    #: It is online, and no server with the model takes requests.
    NOT_READY = "not ready"
    #: It is online and may change, and runs another digest.
    DRIFTED = "drifted"
    #: Nothing was seen of it within the horizon.
    NEVER_SEEN = "never seen"
    #: It was not seen for longer than its ring's `offlineAfter`.
    OFFLINE = "offline"
    #: It is online and runs another digest, and its sync windows are closed.
    WAITING = "waiting for a window"
    #: It runs what it should.
    CURRENT = "up to date"


@dataclass(frozen=True)
class SiteStatus:
    """One model at one site.

    Attributes:
        wanted: What the file of the ring says, and since when.
        reports: What the site reports.
        window: Whether the site may change now.
        drift_since: Since when the site does not run what it should; None if it does.
    """

    site: Site
    model: str
    wanted: RingRelease
    reports: SiteReports
    window: WindowState
    state: State
    drift_since: datetime | None


@dataclass(frozen=True)
class FleetStatus:
    """The status of a fleet at one moment; `commit` is the head of the branch that the sites follow.

    `versions` has the version of each image that a site has reported, by its digest, and `without_model` the sites that
    run no model.
    """

    fleet: Fleet
    commit: str
    now: datetime
    sites: tuple[SiteStatus, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    without_model: tuple[Site, ...] = ()

    def select(self, ring: str) -> "FleetStatus":
        """Return the status of one ring."""
        idle = tuple(site for site in self.without_model if site.ring == ring)
        return replace(self, sites=tuple(self.of_ring(ring)), without_model=idle)

    def of_ring(self, ring: str) -> list[SiteStatus]:
        """Return the status of the sites of a ring."""
        return [each for each in self.sites if each.site.ring == ring]


@dataclass(frozen=True)
class FleetFiles:
    """What the repository of a fleet says: its sites, and what each ring should run.

    `broken` has a sentence for each site whose file cannot be read, or names a ring or a model that is not there, and
    for each ring whose file names no image.
    """

    fleet: Fleet
    commit: str
    sites: tuple[Site, ...]
    releases: Mapping[tuple[str, str], RingRelease]
    broken: tuple[str, ...] = ()


def read_files(repository: GitRepository, branch: str) -> FleetFiles:
    """Return what the files of a fleet say, on the branch that the sites follow.

    Raises:
        GitError: a file is not valid, or there is no such branch.
    """
    head = repository.head(branch)
    if head is None:
        raise missing_branch_error(repository.remote, branch, repository.branches())
    tree = Commit(repository, head)
    fleet = read_fleet(tree)
    releases: dict[tuple[str, str], RingRelease] = {}
    unreadable: list[str] = []
    for ring in fleet.ring_names:
        for model in ring_models(tree, ring):
            release, newer = read_current(repository, head, ring, model)
            unreadable += map(str, newer)
            if release is not None:
                releases[ring, model] = release
    readable = find_sites(tree)
    broken = (*readable.broken, *unreadable, *_find_unknown(readable.sites, fleet, releases))
    return FleetFiles(fleet, head, readable.sites, releases, broken)


def _find_unknown(
    sites: Iterable[Site], fleet: Fleet, releases: Mapping[tuple[str, str], RingRelease]
) -> Iterator[str]:
    """Yield a sentence for each site or model of one of which nobody says what should run."""
    for site in sites:
        path = site_file(site.name)
        if site.ring not in fleet.ring_names:
            yield f"{path}: ring is {site.ring}, which fleet.yaml does not have. Nothing is known of that site."
            continue
        for model in site.models:
            if (site.ring, model) not in releases:
                yield f"{path}: the ring {site.ring} has no model {model}. Nothing is known of it at that site."


def read_status(files: FleetFiles, now: datetime, horizon: timedelta = HORIZON) -> FleetStatus:
    """Return the status of a fleet.

    Raises:
        MetricsError: the metrics cannot be read.
        ParameterError: `fleet.yaml` does not say where they are.
    """
    fleet, releases = files.fleet, files.releases
    metrics = require_metrics(fleet)
    wanted = {
        (site.name, model): release
        for site in files.sites
        for model in site.models
        if (release := releases.get((site.ring, model))) is not None
    }
    reports = read_reports(Prometheus(metrics.prometheus), metrics.site_label, wanted, now, horizon)
    rings = {ring.name: ring for ring in fleet.rings}
    windows = {each: evaluate_windows(each, now) for each in {site.windows for site in files.sites}}
    none = SiteReports()
    sites = [
        _describe(
            site,
            rings[site.ring],
            model,
            wanted[site.name, model],
            reports.get((site.name, model), none),
            windows[site.windows],
            now,
        )
        for site in files.sites
        for model in site.models
        if (site.name, model) in wanted
    ]
    order = {ring: number for number, ring in enumerate(fleet.ring_names)}
    sites.sort(key=lambda each: (order[each.site.ring], each.site.name, each.model))
    versions = {
        report.digest: report.version
        for each in reports.values()
        for report in (*each.earlier, *each.current)
        if report.digest and report.version
    }
    idle = tuple(site for site in files.sites if not site.models)
    return FleetStatus(fleet, files.commit, now, tuple(sites), versions, idle)


def require_metrics(fleet: Fleet) -> Metrics:
    """Return where the metrics are.

    Raises:
        ParameterError: `fleet.yaml` does not say so.
    """
    if fleet.metrics is None:
        raise ParameterError(
            "fleet.yaml does not say where the metrics of the sites are; add `metrics: {prometheus: https://HOST}`."
        )
    return fleet.metrics


def count_states(sites: Sequence[SiteStatus]) -> dict[State, int]:
    """Return how many sites are in each state, the most urgent first."""
    return {state: count for state in State if (count := sum(each.state == state for each in sites))}


def _describe(
    site: Site, ring: Ring, model: str, wanted: RingRelease, reports: SiteReports, window: WindowState, now: datetime
) -> SiteStatus:
    last_seen = reports.last_seen
    is_current = reports.digests == (wanted.image.digest,)
    if last_seen is None:
        state = State.NEVER_SEEN
    elif now - last_seen > ring.offline_after:
        state = State.OFFLINE
    elif reports.is_ready is False:
        state = State.NOT_READY
    elif is_current:
        state = State.CURRENT
    else:
        state = State.DRIFTED if window.is_open else State.WAITING
    drift_since = None
    if not is_current:
        ran_it = reports.last_reported(wanted.image.digest)
        drift_since = max(wanted.since, ran_it) if ran_it else wanted.since
    return SiteStatus(site, model, wanted, reports, window, state, drift_since)
