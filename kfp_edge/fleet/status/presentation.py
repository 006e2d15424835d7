"""A status for people and for programs: a table, a page, JSON."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from kfp_edge.fleet.status.status import FleetStatus, SiteStatus, count_states
from kfp_edge.wording import count_of

#: Hex digits of a digest that people compare.
_DIGITS = 12
HEADER = ("site", "model", "wanted", "reported", "state", "last seen", "window", "drift")


def format_digest(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:_DIGITS] or "unknown"


def format_age(duration: timedelta) -> str:
    """Return a time that has passed with its two largest units, such as `3 d 4 h`."""
    seconds = max(0, int(duration.total_seconds()))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number or parts:
            parts.append(f"{number} {unit}")
    return " ".join([part for part in parts[:2] if not part.startswith("0 ")]) or "0 s"


def format_image(digest: str, versions: Mapping[str, str]) -> str:
    """Return the beginning of a digest, after its version if a site has reported that."""
    version = versions.get(digest)
    return f"{version} ({format_digest(digest)})" if version else format_digest(digest)


def row_of(status: SiteStatus, fleet: FleetStatus) -> tuple[str, ...]:
    """Return the cells of a site in the order of `HEADER`."""
    reports, now = status.reports, fleet.now
    return (
        status.site.name,
        status.model,
        format_image(status.wanted.image.digest, fleet.versions),
        ", ".join(format_image(digest, fleet.versions) for digest in reports.digests) or "nothing",
        status.state,
        f"{format_age(now - reports.last_seen)} ago" if reports.last_seen else "never",
        describe_window(status, now),
        format_age(now - status.drift_since) if status.drift_since else "",
    )


def describe_window(status: SiteStatus, now: datetime) -> str:
    """Return whether a site may change, and when that ends or begins."""
    window = status.window
    if window.until is None:
        return "any time" if window.is_open else "never"
    age = format_age(window.until - now)
    return f"open for {age}" if window.is_open else f"opens in {age}"


def summarize(status: FleetStatus) -> str:
    """Return how many sites are in which state; where sites run several models, how many models at how many sites."""
    counts = [f"{count:,} {state}" for state, count in count_states(status.sites).items()]
    names = {each.site.name for each in status.sites}
    sites = count_of(len(names), "site")
    subject = sites if len(names) == len(status.sites) else f"{count_of(len(status.sites), 'model')} at {sites}"
    idle = len(status.without_model)
    text = f"{subject}: {', '.join(counts) or 'none runs a model of a ring'}"
    return f"{text}; {count_of(idle, 'site')} without a model" if idle else text


def to_json(status: FleetStatus) -> dict[str, object]:
    """Return the status as JSON has it; times are in ISO 8601, ages in seconds."""
    return {
        "fleet": status.fleet.name,
        "commit": status.commit,
        "time": status.now.isoformat(),
        "summary": {str(state): count for state, count in count_states(status.sites).items()},
        "sites": list(_json_rows(status)),
        "without_model": [site.name for site in status.without_model],
    }


def _json_rows(status: FleetStatus) -> Iterator[dict[str, object]]:
    for each in status.sites:
        reports, since = each.reports, each.drift_since
        yield {
            "site": each.site.name,
            "ring": each.site.ring,
            "model": each.model,
            "state": str(each.state),
            "wanted": each.wanted.image.digest,
            "wanted_since": each.wanted.since.isoformat(),
            "reported": [digest for digest in reports.digests if digest],
            "versions": sorted({report.version for report in reports.current or reports.earlier[:1]}),
            "last_seen": reports.last_seen.isoformat() if reports.last_seen else None,
            "ready": reports.is_ready,
            "window_open": each.window.is_open,
            "window_until": each.window.until.isoformat() if each.window.until else None,
            "drift_seconds": int((status.now - since).total_seconds()) if since else None,
        }
