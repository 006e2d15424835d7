"""Quantities are those of Kubernetes, and what no pod can have is refused with what to write."""

from decimal import Decimal

import pytest
from hypothesis import given, strategies
from kubernetes.utils.quantity import parse_quantity as parse_as_the_client

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.errors import ParameterError
from kfp_edge.kubernetes.pod_options import TASK_REQUESTS, check_pod_parameters
from kfp_edge.kubernetes.quantities import check_cpu, check_memory, parse_quantity

SUFFIXES = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@given(strategies.decimals(0, 10_000, places=3), strategies.sampled_from(SUFFIXES))
def test_a_quantity_is_what_the_official_client_makes_of_it(number: Decimal, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") == parse_as_the_client(f"{number}{suffix}")


@pytest.mark.parametrize(
    ("text", "number"), [("1e3", 1000), ("2E-1", Decimal("0.2")), (".5", Decimal("0.5")), ("1.", 1)]
)
def test_exponents_and_bare_points_are_quantities(text: str, number: Decimal | int) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "abc", "0.5 cores", "4 Gi", "4gi", "4GB", "1,5", "-1", "1ki", "1K", "1mi", "Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity of Kubernetes"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["500m", "2", "0.5", "2.0", "64"])
def test_cpus_that_a_container_can_have_stay_as_they_are(text: str) -> None:
    assert check_cpu(text) == text


@pytest.mark.parametrize("text", ["2Gi", "0", "0.0001", "0.5 cores"])
def test_other_cpus_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write processors, such as 2 or 500m"):
        check_cpu(text)


@pytest.mark.parametrize("text", ["4Gi", "512Mi", "1073741824", "1e9", "1G"])
def test_memory_that_a_container_can_have_stays_as_it_is(text: str) -> None:
    assert check_memory(text) == text


@pytest.mark.parametrize("text", ["256", "4", "500m", "0Gi", "4 GB"])
def test_other_memory_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write bytes with a unit, such as 4Gi or 512Mi"):
        check_memory(text)


class TestTheParametersOfAPipeline:
    @pytest.mark.parametrize("values", [{}, TASK_REQUESTS, {"cpu": "8", "memory": "64Gi"}, {"cpu": "1e0"}])
    def test_that_a_task_can_have_are_taken(self, values: dict[str, str]) -> None:
        check_pod_parameters(values)

    @pytest.mark.parametrize(
        ("name", "limit"), [("cpu", "499m"), ("cpu", "0.25"), ("memory", "512Mi"), ("memory", "1G")]
    )
    def test_below_what_a_task_requests_are_refused(self, name: str, limit: str) -> None:
        sentence = (
            f"{name} is '{limit}', but a task requests {TASK_REQUESTS[name]}.*write {TASK_REQUESTS[name]} or more"
        )
        with pytest.raises(ParameterError, match=sentence):
            check_pod_parameters({name: limit})

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            (
                {"cpu": "0.5 cores"},
                "cpu is '0.5 cores', which no pod can have; it is no quantity of Kubernetes; write pro",
            ),
            (
                {"memory": "4096"},
                "memory is '4096', which no pod can have; that is 4096 bytes; write bytes with a unit",
            ),
        ],
    )
    def test_that_are_no_amounts_are_refused_with_what_to_write(self, values: dict[str, str], sentence: str) -> None:
        with pytest.raises(ParameterError, match=sentence):
            check_pod_parameters(values)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cpu": "0.5 cores"}, "build_options: cpu cannot be '0.5 cores'; it is no quantity of Kubernetes; write"),
        ({"memory": 2}, "build_options: memory cannot be 2; that is 2 bytes; write bytes with a unit"),
        (
            {"pull_secret": "My Secret"},
            "build_options: pull_secret cannot be 'My Secret'; name an object of Kubernetes",
        ),
    ],
)
def test_options_are_refused_in_the_same_words(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        BuildOptions.parse(options)
