"""Series of one site, `hall-1` in ring `canary`, in the notation of promtool.

Values are a minute apart, unless `interval` of a case states otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

AT_SITE = 'site="hall-1",ring="canary"'
SERVER = f'{AT_SITE},job="kfp-edge",instance="pod-1:8080"'
MODEL = f'{SERVER},model="pump",version="1"'
OLD, NEW = "sha256:old", "sha256:new"

UP = {f"up{{{SERVER}}}": "1x3000"}
#: What `kfp-edge fleet metrics` says, for 50 hours.
FLEET = {
    f"kfp_edge_fleet_site_offline_after_seconds{{{AT_SITE}}}": "3600x3000",
    f"kfp_edge_fleet_site_may_change{{{AT_SITE}}}": "1x3000",
    f'kfp_edge_fleet_wanted_info{{{AT_SITE},model="pump",image_digest="{NEW}"}}': "1x3000",
    "kfp_edge_fleet_read_timestamp_seconds": "0+60x3000",
}


def info(digest: str, values: str = "1x3000") -> dict[str, str]:
    return {f'kfp_edge_model_info{{{MODEL},image_digest="{digest}"}}': values}


def requests(ok: str, failed: str = "0x3000", rejected: str = "0x3000") -> dict[str, str]:
    codes = {"200": ok, "500": failed, "400": rejected}
    return (
        {f'kfp_edge_requests_total{{{MODEL},protocol="rest",code="{code}"}}': each for code, each in codes.items()}
        | {f'kfp_edge_request_duration_seconds_bucket{{{MODEL},le="0.1"}}': ok}
        | {f"kfp_edge_request_duration_seconds_count{{{MODEL}}}": ok}
    )


def slow(fast: str, all_requests: str) -> dict[str, str]:
    return requests(all_requests) | {
        f'kfp_edge_request_duration_seconds_bucket{{{MODEL},le="0.1"}}': fast,
        f"kfp_edge_request_duration_seconds_count{{{MODEL}}}": all_requests,
    }


def server(metric: str, values: str, **labels: str) -> dict[str, str]:
    more = "".join(f',{name}="{text}"' for name, text in labels.items())
    return {f"{metric}{{{SERVER}{more}}}": values}


def queue(size: str) -> dict[str, str]:
    labels = f'{AT_SITE},exporter="otlp_grpc/hub"'
    return {
        f"otelcol_exporter_queue_size{{{labels}}}": size,
        f"otelcol_exporter_queue_capacity{{{labels}}}": "1000x3000",
    }


def feature(bins: tuple[int, ...], training: tuple[int, ...], minutes: int = 1500, missing: int = 0) -> dict[str, str]:
    """Return the histograms of a feature with two bounds; `bins` are rows a minute, `training` rows."""
    labels = f'{MODEL},feature="torque"'
    series = {
        f"kfp_edge_input_missing_total{{{labels}}}": f"0+{missing}x{minutes}",
        f"kfp_edge_input_missing_reference{{{labels}}}": f"0x{minutes}",
    }
    for number, bound in enumerate(("1", "2", "+Inf"), 1):
        le = f'{labels},le="{bound}"'
        series |= {
            f"kfp_edge_input_feature_bucket{{{le}}}": f"0+{sum(bins[:number])}x{minutes}",
            f"kfp_edge_input_feature_reference_bucket{{{le}}}": f"{sum(training[:number])}x{minutes}",
            f"kfp_edge_input_feature_bin_bucket{{{le}}}": f"{number}x{minutes}",
        }
    return series


def classes(first: int, second: int, training: tuple[int, int], minutes: int = 1500) -> dict[str, str]:
    series = {}
    for name, rows, trained in (("intact", first, training[0]), ("worn", second, training[1])):
        labels = f'{MODEL},class="{name}"'
        series |= {
            f"kfp_edge_output_class_total{{{labels}}}": f"0+{rows}x{minutes}",
            f"kfp_edge_output_class_reference{{{labels}}}": f"{trained}x{minutes}",
        }
    return series


@dataclass(frozen=True)
class Case:
    """Series, and whether the alert fires with them.

    Attributes:
        what: What happens at the site.
        sites: The sites of the alerts that fire; an alert of the hub itself has the site "".
        severity: Which of several alerts of that name is meant.
    """

    alert: str
    what: str
    sites: tuple[str, ...]
    series: Mapping[str, str]
    at: str = "2h"
    severity: str = ""
    times: Mapping[str, str] = field(default_factory=dict)


FIRES, SILENT = ("hall-1",), ()
#: Drift looks at a day.
DAY = {"evaluation_interval": "15m"}
SLOWLY = {"evaluation_interval": "10m"}
WEEKS = {"interval": "1h", "evaluation_interval": "1h"}
