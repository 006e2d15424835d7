"""Why the Kubernetes API does not admit an object: quotas, limit ranges, service accounts, pod security.

The API answers 403 to each of them; for a pod that a controller creates, the answer is a condition of its owner. The
texts are those of Kubernetes 1.34 and OpenShift 4.
"""

import re
from dataclasses import dataclass

from kfp_edge.kubernetes.quantities import parse_quantity

#: What admission answers; RBAC answers `services is forbidden: User "..." cannot create resource ...`.
_ADMISSION = re.compile(r'" is forbidden: (?!User )|admission webhook "[^"]*" denied the request')
_SUBJECT = re.compile(r'^[\w.]+ "[^"]*" is forbidden: ')
_OVER_QUOTA = re.compile(r"exceeded quota: (\S+), requested: (\S+), used: (\S+), limited: (\S+)")
_NOT_SPECIFIED = re.compile(r"failed quota: (?P<name>[^:\s]+): must specify (?P<what>.+)")
_LIMIT_RANGE = re.compile(
    r"(?:maximum|minimum) [\w./-]+ usage per \w+ is [^,\]]+, but (?:limit|request) is [^,\]\s]+"
    r"|[\w./-]+ max limit to request ratio per \w+ is [^,\]]+, but provided ratio is [^,\]\s]+"
    r"|(?:maximum|minimum) [\w./-]+ usage per \w+ is [^,\]]+\. +No (?:limit|request) is specified"
)
_NO_ACCOUNT = re.compile(r"error looking up service account (?P<namespace>[^/\s]+)/(?P<name>[^:\s]+):")
#: Parts of other refusals that do not change while one waits.
_PERMANENT = (
    "violates PodSecurity",
    "unable to validate against any security context constraint",
    "because it is being terminated",
    "must be less than or equal to",
)


@dataclass(frozen=True)
class Refusal:
    """Why an object is not admitted and what to do, as parts of a sentence; `is_permanent` if waiting cannot help."""

    reason: str
    remedy: str
    is_permanent: bool = True

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def is_admission(message: str) -> bool:
    """Whether the message of an answer with status 403 is that of admission, not that of a missing permission."""
    return bool(_ADMISSION.search(message))


def explain_refusal(message: str) -> Refusal:
    """Return why the API does not admit an object.

    Args:
        message: The API's message, as in its answer or in a condition of type `ReplicaFailure`.
    """
    text = _SUBJECT.sub("", " ".join(message.split()).rstrip("."))
    if match := _OVER_QUOTA.search(text):
        return _explain_quota(match[1], *map(_amounts, match.groups()[1:]))
    if match := _NOT_SPECIFIED.search(text):
        reason = f"the ResourceQuota {match['name']} wants every container to specify {match['what']}"
        return Refusal(reason, "a LimitRange with defaults does that for all of them: deploy/openshift/quota has one")
    if limits := _LIMIT_RANGE.findall(text):
        return Refusal(f"a LimitRange does not allow it: {', '.join(limits)}", "ask for what it allows")
    if match := _NO_ACCOUNT.search(text):
        reason = f"there is no service account {match['name']} in the namespace {match['namespace']}"
        return Refusal(reason, "create it, or name another")
    is_permanent = any(part in text for part in _PERMANENT)
    return Refusal(text, "deploy/openshift/README.md has what a namespace needs", is_permanent)


def _explain_quota(name: str, asked: dict[str, str], used: dict[str, str], limits: dict[str, str]) -> Refusal:
    never = [key for key in asked if key in limits and parse_quantity(asked[key]) > parse_quantity(limits[key])]
    if never:
        amounts = ", ".join(f"{key} {asked[key]} asked for, {limits[key]} allowed" for key in never)
        reason = f"the ResourceQuota {name} can never allow it: {amounts}"
        return Refusal(reason, "ask for less, or have the quota raised")
    amounts = ", ".join(f"{key} {asked[key]} asked for, {used.get(key)} of {limits.get(key)} used" for key in asked)
    reason = f"the ResourceQuota {name} is used up: {amounts}"
    return Refusal(reason, "wait until others have ended, or have the quota raised", is_permanent=False)


def _amounts(text: str) -> dict[str, str]:
    """Return the amounts of `limits.memory=512Mi,requests.cpu=200m` by resource."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {key: amount for key, mark, amount in pairs if mark}
