"""Rules evaluated by promtool over series that a test writes down in its notation (`0+60x30`)."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml


def check(
    rules: Path, expression: str, expected: Mapping[str, float], series: Mapping[str, str], at: str, **times: str
) -> None:
    """Raise an AssertionError unless an expression has these samples, `{labels}` to value, after evaluating the rules.

    Args:
        rules: A rule file.
        expression: PromQL.
        expected: The samples.
        series: The values of each series, the first at time 0.
        at: When the expression is evaluated, such as 2h.
        times: `interval` between the values of a series, and `evaluation_interval` of the rules; one minute each.
    """
    test = {
        "interval": times.get("interval", "1m"),
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": at,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
        ],
    }
    document = {
        "rule_files": [str(rules.resolve())],
        "evaluation_interval": times.get("evaluation_interval", "1m"),
        "tests": [test],
    }
    command = ["promtool", "test", "rules", "/dev/stdin"]
    done = subprocess.run(command, input=yaml.safe_dump(document), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_firing(
    rules: Path, alert: str, expected: Mapping[str, float], series: Mapping[str, str], at: str, **times: str
) -> None:
    """Raise an AssertionError unless an alert fires for these sites, and no others; see `check`.

    Args:
        alert: The labels of the alert, such as `alertname="A"`.
    """
    check(rules, f'group by (site) (ALERTS{{{alert}, alertstate="firing"}})', expected, series, at, **times)
