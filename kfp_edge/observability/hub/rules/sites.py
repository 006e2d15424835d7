"""Rules about sites and what they run, compared with what the repository of the fleet says.

`kfp-edge fleet metrics` exposes what the repository says: a site that was never seen, and a digest that should run,
are in no series that a site sends.
"""

from kfp_edge.fleet.units import format_duration
from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording, Severity
from kfp_edge.observability.hub.rules.expressions import MODEL, OF_SITES
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge.observability.site.queue_size import ALERT_SHARE

#: When a site was seen last: a scrape that its collector made, whatever came of it.
LAST_SEEN = "site:kfp_edge_seen_timestamp_seconds:max"
#: For how long a last seen time is kept while Prometheus does not run.
_KEPT = "1d"
#: Nothing for so long means that a site that is in no repository has been switched off.
_SILENT = 3600

# max: two exporters, or a new one beside its predecessor, are no two sites
_OFFLINE_AFTER = "max by (site, ring) (kfp_edge_fleet_site_offline_after_seconds)"
_WANTED = "max by (site, ring, model, image_digest) (kfp_edge_fleet_wanted_info)"
_MAY_CHANGE = "max by (site, ring) (kfp_edge_fleet_site_may_change) == 1"
_READ = "kfp_edge_fleet_read_timestamp_seconds"


def site_rules(settings: AlertSettings) -> Group:
    """Return the rules about sites."""
    seconds = int(settings.outage.total_seconds() * ALERT_SHARE)
    outage = format_duration(settings.outage)
    return Group(
        "kfp-edge-sites",
        "1m",
        (
            Recording(
                LAST_SEEN,
                f"max by (site) (timestamp(up{{{OF_SITES}}}))\nor max by (site) (last_over_time({LAST_SEEN}[{_KEPT}]))",
            ),
            Alert(
                "KfpEdgeSiteUnseen",
                f"time() - {LAST_SEEN} > on (site) group_right ()\n{_OFFLINE_AFTER}",
                "1m",
                Severity.WARNING,
                "Site {{ $labels.site }} has not been seen for {{ $value | humanizeDuration }}.",
                "Nothing arrives from the collector of the site. Its other alerts are muted until it is back; what it "
                f"measures meanwhile waits in its queue, which holds {outage}.",
            ),
            # the queue is first in, first out: the age of what arrives, or would, is what is in it
            Alert(
                "KfpEdgeQueueFilling",
                f"time() - {LAST_SEEN} > {seconds}\nand on (site) {_OFFLINE_AFTER}",
                "1m",
                Severity.CRITICAL,
                "The queue of site {{ $labels.site }} fills: {{ $value | humanizeDuration }} of samples are not here.",
                f"The queue of its collector holds {outage}; later samples are lost.",
            ),
            Alert(
                "KfpEdgeSiteNeverSeen",
                f"{_OFFLINE_AFTER}\nunless on (site) {LAST_SEEN}",
                "1d",
                Severity.INFO,
                "Site {{ $labels.site }} is in the repository of the fleet, and was never seen.",
                "It is not installed yet, or its collector has the wrong address, certificate or site name.",
            ),
            Alert(
                "KfpEdgeSiteUnknown",
                # what was seen is kept for ever, also of a site that was removed and switched off
                f"(time() - {LAST_SEEN} < {_SILENT})\nunless on (site) {_OFFLINE_AFTER}\nand on () {_READ}",
                "1h",
                Severity.INFO,
                "Site {{ $labels.site }} sends metrics, and is not in the repository of the fleet.",
                "It was removed from the repository and still runs, or its collector has a wrong site name.",
            ),
            Alert(
                "KfpEdgeWrongDigest",
                f"max by ({MODEL}, image_digest) (kfp_edge_model_info{{{OF_SITES}}})\n"
                f"unless on (site, model, image_digest) {_WANTED}\n"
                f"and on (site, model) {_WANTED}\n"
                f"and on (site) ({_MAY_CHANGE})",
                "1h",
                Severity.WARNING,
                "Site {{ $labels.site }} runs another image of {{ $labels.model }} than its ring should.",
                "It runs {{ $labels.image_digest }}, although it is online and may change.",
            ),
            Alert(
                "KfpEdgeModelMissing",
                f"{_WANTED}\nunless on (site, model) kfp_edge_model_info\n"
                f"and on (site) up{{{OF_SITES}}}\nand on (site) ({_MAY_CHANGE})",
                "1h",
                Severity.CRITICAL,
                "Site {{ $labels.site }} is online, and no server there has the model {{ $labels.model }}.",
                "It should run {{ $labels.image_digest }}.",
            ),
            Alert(
                "KfpEdgeFleetMetricsStale",
                f"time() - max({_READ}) > 3600\nor absent({_READ})",
                "10m",
                Severity.WARNING,
                "The hub does not know what the repository of the fleet says: `kfp-edge fleet metrics` does not run.",
                "Without it, a site that is not seen or runs the wrong image raises no alert.",
            ),
            Alert(
                "KfpEdgeFleetFilesBroken",
                "max(kfp_edge_fleet_broken_files) > 0",
                "10m",
                Severity.WARNING,
                "Of {{ $value }} sites, the file in the repository of the fleet cannot be read.",
                "Nothing is known of these sites: one that is not seen or runs the wrong image raises no alert.",
            ),
        ),
    )
