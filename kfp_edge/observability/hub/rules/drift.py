"""Rules about drift: how far the inputs and outputs of a day are from those of training.

The measure is the population stability index over the B bins of a feature, sum((p - q) ln(p / q)). Of m training rows,
q is the share of a bin with half a row added to each; of n rows at the edge, p is the share with B / 2 rows added that
are distributed as in training, so that an empty bin of a few rows is no drift. The drift component does the same.
Without drift, PSI / (1/n + 1/m) follows about a chi-squared distribution with B - 1 degrees of freedom (Yurdakul,
"Statistical Properties of Population Stability Index", 2018). So of few rows the limit is higher: that quantile times
(1/n + 1/m), where it is above the usual 0.2.

A bucket of Prometheus knows nothing of the one before it, and texts of `le` differ between pipelines. So the server
exposes a histogram with the number of each bin, from which `count_values` makes a label.
"""

from dataclasses import dataclass

from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording, Severity
from kfp_edge.observability.hub.rules.expressions import OF_SITES
from kfp_edge.observability.hub.rules.settings import DriftLimits

#: A whole day: the shifts of a day are no drift.
WINDOW = "1d"
#: In standard deviations: one feature passes the limit by chance in 1 of 30,000 independent days.
_DEVIATIONS = 4
#: Rows of a sensor that say as much as an independent one: the next reading is much like the last.
_ROWS_PER_INDEPENDENT = 10


@dataclass(frozen=True)
class Measured:
    """What is compared with training: inputs or outputs.

    Attributes:
        name: In the names of what is recorded.
        label: The label that names one feature or output.
        numbers: The histogram of its numbers; `_reference` and `_bin` are beside it.
        categories: The counter of its categories, without `_total`; `_reference` is beside it.
        category_label: The label that names one of the categories.
        missing: The counter of missing values, likewise; "" if there is none.
    """

    name: str
    label: str
    numbers: str
    categories: str
    category_label: str
    missing: str

    @property
    def of_model(self) -> str:
        """The labels of one feature in training."""
        return f"model, version, {self.label}"

    @property
    def of_site(self) -> str:
        """The labels of one feature at a site."""
        return f"site, ring, {self.of_model}"

    @property
    def bin_number(self) -> str:
        """The series whose label `bin` is the number of the bin that ends at `le`."""
        return self.recorded_of_training("bin", "number", "_le")

    @property
    def next_bin_number(self) -> str:
        """The series whose label `bin` is the number of the bin that begins at `le`."""
        return self.recorded_of_training("next_bin", "number", "_le")

    def recorded(self, metric: str, operation: str, finer: str = "") -> str:
        """Return the name of what is recorded by site, or more finely."""
        return f"site_model_{self.label}{finer}:kfp_edge_{self.name}_{metric}:{operation}"

    def recorded_of_training(self, metric: str, operation: str, finer: str = "") -> str:
        """Return the name of what is recorded of training, which is the same at all sites."""
        return f"model_{self.label}{finer}:kfp_edge_{self.name}_{metric}:{operation}"


INPUT = Measured(
    "input", "feature", "kfp_edge_input_feature", "kfp_edge_input_category", "category", "kfp_edge_input_missing"
)
OUTPUT = Measured("output", "output", "kfp_edge_output_value", "kfp_edge_output_class", "class", "")


def drift_rules(limits: DriftLimits) -> Group:
    """Return the rules about drift."""
    return Group(
        "kfp-edge-drift",
        "15m",
        (
            *_record(INPUT, limits),
            *_record(OUTPUT, limits),
            _alert(
                "KfpEdgeInputDrift", INPUT, limits, "Input {{ $labels.feature }} of {{ $labels.model }} has drifted"
            ),
            _alert(
                "KfpEdgeOutputDrift", OUTPUT, limits, "What {{ $labels.model }} predicts ({{ $labels.output }}) drifts"
            ),
        ),
    )


def _record(measured: Measured, limits: DriftLimits) -> list[Recording]:
    of_site, of_model = measured.of_site, measured.of_model
    cumulative = measured.recorded("cumulative_rows", f"increase{WINDOW}", "_le")
    counts = measured.recorded("rows", f"increase{WINDOW}", "_bin")
    rows = measured.recorded("rows", f"increase{WINDOW}")
    share = measured.recorded("share", f"ratio{WINDOW}", "_bin")
    trained = measured.recorded_of_training("training_rows", "max", "_bin")
    trained_rows = measured.recorded_of_training("training_rows", "sum")
    trained_share = measured.recorded_of_training("training_share", "ratio", "_bin")
    bins = measured.recorded_of_training("bins", "count")
    of_bin, of_all = f"on ({of_model}, bin) group_left ()", f"on ({of_model}) group_left ()"
    numbers = f"max by ({of_model}, le) ({measured.numbers}_bin_bucket{{{OF_SITES}}})"
    return [
        Recording(measured.bin_number, f'count_values by ({of_model}, le) ("bin", {numbers})'),
        Recording(measured.next_bin_number, f'count_values by ({of_model}, le) ("bin", {numbers} + 1)'),
        Recording(cumulative, f"sum by ({of_site}, le) ({_increase(f'{measured.numbers}_bucket')})"),
        Recording(counts, _counts_at_sites(measured, cumulative)),
        Recording(rows, f"sum by ({of_site}) ({counts})"),
        # 0 for a category that training did not have; a bin that nothing was ever in is none
        Recording(
            trained,
            f"({_counts_in_training(measured)}) > 0\nor 0 * (max by ({of_model}, bin) ({counts}) > 0)",
        ),
        Recording(trained_rows, f"sum by ({of_model}) ({trained}) > 0"),
        Recording(bins, f"count by ({of_model}) ({trained})\nand on ({of_model}) {trained_rows}"),
        Recording(trained_share, f"({trained} + 0.5)\n/ {of_all} ({trained_rows} + {bins} / 2)"),
        Recording(
            share,
            f"({counts} + {of_bin} ({trained_share} * {of_all} {bins} / 2))\n"
            f"/ on ({of_site}) group_left () ({rows} + {of_all} {bins} / 2)",
        ),
        Recording(
            measured.recorded("psi", WINDOW),
            f"sum by ({of_site}) (\n({share} - {of_bin} {trained_share})\n* ln({share} / {of_bin} {trained_share})\n)",
        ),
        Recording(measured.recorded("psi_limit", WINDOW), _limit(rows, trained_rows, bins, of_all, limits.psi)),
    ]


def _alert(name: str, measured: Measured, limits: DriftLimits, summary: str) -> Alert:
    psi, limit = measured.recorded("psi", WINDOW), measured.recorded("psi_limit", WINDOW)
    return Alert(
        name,
        f"{psi} > {limit}\nand {measured.recorded('rows', f'increase{WINDOW}')} >= {limits.min_rows}",
        "1h",
        Severity.WARNING,
        f"{summary} at site {{{{ $labels.site }}}}.",
        'The population stability index of a day is {{ $value | printf "%.2f" }}; from '
        f"{limits.psi:g} on, or more where there are few rows, the distribution is another one than in training.",
    )


def _increase(metric: str) -> str:
    return f"increase({metric}{{{OF_SITES}}}[{WINDOW}])"


def _counts_at_sites(measured: Measured, cumulative: str) -> str:
    by = f"{measured.of_site}, bin"
    parts = [
        _count_bins(measured, cumulative, by),
        f"sum by ({by}) ({_name_bin(measured, _increase(f'{measured.categories}_total'))})",
    ]
    if measured.missing:
        # where nothing is known of training, missing values would be drift
        missing = f"{_increase(f'{measured.missing}_total')}\nand on ({measured.of_model}) {measured.missing}_reference"
        parts.append(f"sum by ({by}) ({_name_missing(missing)})")
    return "\nor ".join(parts)


def _counts_in_training(measured: Measured) -> str:
    by = f"{measured.of_model}, bin"
    cumulative = f"max by ({measured.of_model}, le) ({measured.numbers}_reference_bucket{{{OF_SITES}}})"
    parts = [
        _count_bins(measured, cumulative, by),
        f"max by ({by}) ({_name_bin(measured, f'{measured.categories}_reference{{{OF_SITES}}}')})",
    ]
    if measured.missing:
        parts.append(f"max by ({by}) ({_name_missing(f'{measured.missing}_reference{{{OF_SITES}}}')})")
    return "\nor ".join(parts)


def _count_bins(measured: Measured, cumulative: str, by: str) -> str:
    """Return the expression of the rows in single bins; `cumulative` counts those up to the bound of each."""
    up_to, before = (
        f"sum by ({by}) ({cumulative}\n* on ({measured.of_model}, le) group_left (bin) {bin_number})"
        for bin_number in (measured.bin_number, measured.next_bin_number)
    )
    return f"{up_to}\n- {before}\nor {up_to}"


def _name_bin(measured: Measured, expression: str) -> str:
    named = f'label_replace({expression}, "bin", "$1", "{measured.category_label}", "(.*)")'
    # classes are of no output: label_replace with an empty source adds its name
    return f'label_replace({named}, "output", "class", "", "")' if measured is OUTPUT else named


def _name_missing(expression: str) -> str:
    return f'label_replace({expression}, "bin", "(missing)", "", "")'


def _limit(rows: str, trained_rows: str, bins: str, of_all: str, psi: float) -> str:
    """Return the expression of the PSI that is a drift, at least `psi`.

    The quantile of the chi-squared distribution is that of Wilson and Hilferty (1931).
    """
    freedom = f"({bins} - 1)"
    spread = f"(2 / (9 * {freedom}))"
    return (
        f"clamp_min(\n{_ROWS_PER_INDEPENDENT} * (1 / ({rows} > 0) + {of_all} 1 / {trained_rows})\n"
        f"* {of_all} (\n{freedom}\n* (1 - {spread}\n+ {_DEVIATIONS} * sqrt{spread}) ^ 3\n), {psi:g})"
    )
