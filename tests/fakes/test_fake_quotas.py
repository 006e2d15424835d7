"""The fake refuses what a quota or a limit range does not allow in the words of the real API server."""

from typing import Any

from support.fake_kubernetes.quotas import outside_limits, over_quota, with_defaults

#: As Kubernetes 1.34.2 answers (recorded/kubernetes/deployment.over-quota.json).
RECORDED = (
    "exceeded quota: q, requested: limits.memory=512Mi,requests.cpu=200m, used: limits.memory=0,requests.cpu=0, "
    "limited: limits.memory=64Mi,requests.cpu=100m"
)


def pod(*containers: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": f"c{number}", **each} for number, each in enumerate(containers)]
    return {"spec": {"containers": named}}


def quota(**hard: str) -> dict[str, Any]:
    return {"metadata": {"name": "q"}, "spec": {"hard": {key.replace("_", "."): text for key, text in hard.items()}}}


def limit_range(**item: Any) -> dict[str, Any]:
    return {"spec": {"limits": [{"type": "Container", **item}]}}


SMALL = {"resources": {"limits": {"cpu": "200m", "memory": "512Mi"}, "requests": {"cpu": "200m"}}}


def test_a_pod_beyond_a_quota_is_refused_as_recorded() -> None:
    assert over_quota(pod(SMALL), [], [quota(limits_memory="64Mi", requests_cpu="100m")]) == RECORDED


def test_what_other_pods_use_counts() -> None:
    refusal = over_quota(pod(SMALL), [pod(SMALL)], [quota(limits_memory="1Gi", limits_cpu="300m")])
    assert refusal == "exceeded quota: q, requested: limits.cpu=200m, used: limits.cpu=200m, limited: limits.cpu=300m"


def test_a_container_that_names_no_limit_is_named() -> None:
    refusal = over_quota(pod(SMALL, {}), [], [quota(limits_cpu="2", limits_memory="2Gi")])
    assert refusal == "failed quota: q: must specify limits.cpu for: c1; limits.memory for: c1"


def test_a_limit_range_gives_limits_to_a_container_that_names_none() -> None:
    ranges = [limit_range(default={"cpu": "1", "memory": "256Mi"}, defaultRequest={"cpu": "50m", "memory": "64Mi"})]
    completed = with_defaults(pod(SMALL, {}), ranges)
    assert over_quota(completed, [], [quota(limits_cpu="2", limits_memory="2Gi", requests_cpu="1")]) == ""
    assert completed["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "200m", "memory": "512Mi"}


def test_several_violations_of_a_limit_range_are_a_list() -> None:
    refusal = outside_limits(pod(SMALL), [limit_range(max={"cpu": "100m", "memory": "64Mi"})])
    assert refusal == (
        "[maximum cpu usage per Container is 100m, but limit is 200m, "
        "maximum memory usage per Container is 64Mi, but limit is 512Mi]"
    )
