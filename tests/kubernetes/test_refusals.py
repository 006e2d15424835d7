"""Why the API does not admit an object, told in one sentence, and whether waiting can help."""

import json

import pytest

from kfp_edge.kubernetes.refusals import explain_refusal, is_admission
from support.paths import SHARED

#: Shortened from the answer of Kubernetes 1.34.2 (recorded/kubernetes/deployment.over-quota.json).
OVER_QUOTA = (
    'pods "over-quota-74f7dbd65f-rms4n" is forbidden: exceeded quota: q, requested: limits.memory=512Mi,'
    "requests.cpu=200m, used: limits.memory=0,requests.cpu=0, limited: limits.memory=64Mi,requests.cpu=100m"
)


@pytest.mark.parametrize(
    ("message", "sentence", "is_permanent"),
    [
        (
            OVER_QUOTA,
            "the ResourceQuota q can never allow it: limits.memory 512Mi asked for, 64Mi allowed, requests.cpu 200m "
            "asked for, 100m allowed; ask for less, or have the quota raised",
            True,
        ),
        (
            'services "staging-1" is forbidden: exceeded quota: kfp-edge-staging, requested: services=1, '
            "used: services=10, limited: services=10",
            "the ResourceQuota kfp-edge-staging is used up: services 1 asked for, 10 of 10 used; "
            "wait until others have ended, or have the quota raised",
            False,
        ),
        (
            'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: init,wait; limits.memory for: wait',
            "the ResourceQuota q wants every container to specify limits.cpu for: init,wait; limits.memory for: wait; "
            "a LimitRange with defaults does that for all of them: deploy/openshift/quota has one",
            True,
        ),
        (
            'pods "a" is forbidden: [maximum cpu usage per Container is 2, but limit is 4, maximum memory usage per '
            "Container is 2Gi, but limit is 4Gi]",
            "a LimitRange does not allow it: maximum cpu usage per Container is 2, but limit is 4, maximum memory "
            "usage per Container is 2Gi, but limit is 4Gi; ask for what it allows",
            True,
        ),
        (
            'pods "a" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 4.0',
            "a LimitRange does not allow it: memory max limit to request ratio per Container is 2, but provided ratio "
            "is 4.0; ask for what it allows",
            True,
        ),
        (
            'pods "a-" is forbidden: error looking up service account edge-staging/nobody: serviceaccount "nobody" '
            "not found",
            "there is no service account nobody in the namespace edge-staging; create it, or name another",
            True,
        ),
        (
            'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
            'violates PodSecurity "restricted:latest": runAsNonRoot != true; deploy/openshift/README.md has what a '
            "namespace needs",
            True,
        ),
        (
            'admission webhook "policy.example.com" denied the request: no',
            'admission webhook "policy.example.com" denied the request: no; deploy/openshift/README.md has what a '
            "namespace needs",
            False,
        ),
    ],
)
def test_a_refusal_is_explained(message: str, sentence: str, is_permanent: bool) -> None:
    refusal = explain_refusal(message)
    assert (str(refusal), refusal.is_permanent) == (sentence, is_permanent)
    assert is_admission(message)


def test_a_missing_permission_is_not_a_refusal_of_admission() -> None:
    assert not is_admission(
        'services is forbidden: User "system:serviceaccount:a:b" cannot create resource "services" in API group "" in '
        'the namespace "edge-staging"'
    )


def test_the_recorded_answer_of_a_quota_is_explained() -> None:
    file = SHARED / "recorded/kubernetes/deployment.over-quota.json"
    if not file.is_file():
        pytest.skip("the recorded answers of real servers are not on this machine")
    conditions = json.loads(file.read_text())["status"]["conditions"]
    (message,) = [one["message"] for one in conditions if one["type"] == "ReplicaFailure"]
    assert message == OVER_QUOTA
