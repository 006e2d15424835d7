"""The dashboard of one model: how fast and how well it answers, what it answers, and whether its data still fit it."""

from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel, Query, Row
from kfp_edge.observability.dashboards.expressions import (
    MODEL,
    RING,
    SITE,
    increase,
    quantile,
    rate,
    recorded,
    weighted_ratio,
)

_CHOSEN = '{model="$model", ring=~"$ring", site=~"$site"}'
_OF_MODEL = '{model="$model"}'
_INPUT, _OUTPUT = "site_model_feature:kfp_edge_input", "site_model_output:kfp_edge_output"
_CLASSES = "kfp_edge_output_class_total" + _CHOSEN
_HELD_OUT = "max by (version, class) (kfp_edge_output_class_reference" + _OF_MODEL + ")"
_ROWS = increase("kfp_edge_input_feature_count" + _CHOSEN, "feature", "1d")

ONE_MODEL = Dashboard(
    "kfp-edge-model",
    "kfp-edge: model",
    "One model at the chosen sites: latency, errors, throughput, what it predicts, drift of each feature.",
    (MODEL, RING, SITE),
    (
        Row(
            "Requests",
            (
                Panel(
                    "Latency",
                    "Half of the requests are answered within the lowest of the times, 99 % within the highest. "
                    "Interpolated between the bounds of the server's histogram.",
                    "s",
                    tuple(
                        Query(quantile(share, _CHOSEN), name)
                        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
                    ),
                ),
                Panel(
                    "Slowest sites",
                    "The five sites with the longest 95th percentile.",
                    "s",
                    (Query(f"topk(5, {quantile(0.95, _CHOSEN, 'site')})", "{{site}}"),),
                ),
                Panel(
                    "Throughput",
                    "Requests a second by HTTP status.",
                    "reqps",
                    (Query(rate("kfp_edge_requests_total" + _CHOSEN, "code"), "{{code}}"),),
                    Kind.STACKED,
                ),
                Panel(
                    "Errors and slow requests",
                    "The share of requests that failed at the server (HTTP 5xx), and that took longer than the "
                    "objective. Alerts are on how fast the budget of a month is used up.",
                    "percentunit",
                    (
                        Query(weighted_ratio("kfp_edge_request_errors", _CHOSEN, "model"), "failed"),
                        Query(weighted_ratio("kfp_edge_slow_requests", _CHOSEN, "model"), "slow"),
                    ),
                ),
            ),
        ),
        Row(
            "What it predicts",
            (
                Panel(
                    "Class balance",
                    "The share of each predicted class within an hour. 1 is an alarm of a detector. A model that "
                    "answers a number has no classes.",
                    "percentunit",
                    (
                        Query(
                            f"{increase(_CLASSES, 'class')}\n/ on () group_left () (sum(increase({_CLASSES}[1h])) > 0)",
                            "{{class}}",
                        ),
                    ),
                    Kind.STACKED,
                ),
                Panel(
                    "Class balance on held-out rows",
                    "What to compare it with: the shares when the model was verified.",
                    "percentunit",
                    (
                        Query(
                            f"sum by (class) ({_HELD_OUT})\n/ on () group_left () sum({_HELD_OUT})",
                            "{{class}}",
                        ),
                    ),
                    Kind.NUMBERS,
                ),
                Panel(
                    "Answered numbers",
                    "Half of the answered numbers of an hour are at most this: the prediction, the score of a "
                    "detector, the probability of the positive class.",
                    "none",
                    (
                        Query(
                            "histogram_quantile(0.5, "
                            f"{increase('kfp_edge_output_value_bucket' + _CHOSEN, 'output, le')}) > -Inf",
                            "{{output}}",
                        ),
                    ),
                ),
                Panel(
                    "Drift of what it predicts",
                    "Population stability index of a day, the highest of the sites.",
                    "none",
                    (Query(f"max by (output) ({recorded(f'{_OUTPUT}_psi:1d', _CHOSEN)})", "{{output}}"),),
                ),
            ),
        ),
        Row(
            "Whether its data still fit it",
            (
                Panel(
                    "Drift of each feature",
                    "Population stability index of a day against training, the highest of the sites. 0.1 is a little, "
                    "0.2 is a drift where there are enough rows.",
                    "none",
                    (Query(f"max by (feature) ({recorded(f'{_INPUT}_psi:1d', _CHOSEN)})", "{{feature}}"),),
                ),
                Panel(
                    "Drift by site",
                    "The index of a feature at a site, in parts of its limit for that many rows: from 1 on, it has "
                    "drifted. The twenty highest.",
                    "none",
                    (
                        Query(
                            f"topk(20, {recorded(f'{_INPUT}_psi:1d', _CHOSEN)}\n"
                            f"/ {recorded(f'{_INPUT}_psi_limit:1d', _CHOSEN)})",
                            "{{site}} {{feature}}",
                        ),
                    ),
                    Kind.TABLE,
                ),
                Panel(
                    "Missing values",
                    "The share of the rows of a day in which a feature is missing.",
                    "percentunit",
                    (
                        Query(
                            f"{increase('kfp_edge_input_missing_total' + _CHOSEN, 'feature', '1d')}\n"
                            f"/ ({increase('kfp_edge_input_missing_total' + _CHOSEN, 'feature', '1d')} + {_ROWS} > 0)",
                            "{{feature}}",
                        ),
                    ),
                ),
                Panel(
                    "Values outside of the range of training",
                    "The share of the values of a day. The model has seen none such: it extrapolates.",
                    "percentunit",
                    (
                        Query(
                            f"{increase('kfp_edge_input_out_of_range_total' + _CHOSEN, 'feature', '1d')}\n"
                            f"/ ({_ROWS} > 0)",
                            "{{feature}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
