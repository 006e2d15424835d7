"""The files of a new fleet's repository."""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import (
    API_VERSION,
    FIRST_RING,
    NAMESPACE,
    Delivery,
    Fleet,
    PullRequests,
    Ring,
    Serving,
    Site,
)
from kfp_edge.fleet.documents import FROM_EARLIER_LAYOUT, describe_invalid
from kfp_edge.fleet.repository.project_files import render_project
from kfp_edge.git.remote import check_branch
from kfp_edge.gitops.layout import FLEET, README, SITES, find_earlier_layout
from kfp_edge.gitops.template_files import Part, render_part
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.storage.files import write_files
from kfp_edge.suggestions import describe_unknown_choice

_RING_COMMENTS = {
    "soakTime": "how long its sites run a release healthily before the next ring may have it",
    "maxOffline": "the share of its sites that may be offline meanwhile, and is not waited for",
}
_PULL_REQUESTS_HINT = (
    "# Where releases become pull requests; without it, they are branches only.\n"
    "#pullRequests: {forge: gitlab, labels: [release], reviewers: [ada]}\n"
)


class Agent(StrEnum):
    """What delivers to the sites."""

    #: Argo CD on a hub.
    HUB = "hub"
    #: Open Cluster Management, or Red Hat Advanced Cluster Management, with Argo CD on a hub.
    ACM = "acm"
    #: An Argo CD at each site.
    SITE = "site"
    #: A systemd timer and Podman at each site.
    PODMAN = "podman"


#: The part of the template that an agent has besides the AppProject.
_PARTS = {Agent.HUB: Part.ARGOCD_HUB, Agent.ACM: Part.ACM, Agent.PODMAN: Part.PODMAN}
#: What delivers to a site, and the folders of which one has the files of that.
_AGENTS_OF_DELIVERIES = {
    Delivery.HUB: (Agent.HUB, ("argocd/hub", "acm")),
    Delivery.PODMAN: (Agent.PODMAN, ("podman",)),
}


def new_fleet(
    name: str,
    repository: str,
    branch: str = "main",
    rings: Sequence[str] = (FIRST_RING,),
    serving: Serving = Serving.DEPLOYMENT,
) -> Fleet:
    """Return a fleet with rings that have the default policies.

    Raises:
        pydantic.ValidationError: a name is no DNS label, or a ring is named twice.
    """
    values = {"apiVersion": API_VERSION, "kind": "Fleet", "name": name, "repository": repository, "branch": branch}
    return Fleet.model_validate(values | {"serving": serving, "rings": [{"name": ring} for ring in rings]})


def new_site(name: str, ring: str, *, models: Iterable[str] = (), namespace: str = NAMESPACE) -> Site:
    """Return a site that an Argo CD on a hub delivers to, whose cluster has the name of the site."""
    values = {"apiVersion": API_VERSION, "kind": "Site", "name": name, "ring": ring, "namespace": namespace}
    return Site.model_validate(values | {"delivery": Delivery.HUB, "cluster": name, "models": tuple(models)})


def render_repository(fleet: Fleet, agents: Iterable[Agent] = (Agent.HUB,)) -> dict[str, bytes]:
    """Return the files of a repository without sites by their paths."""
    values = _values(fleet)
    files = render_part(Part.FLEET, values, {"rings": "\n".join(map(_ring_text, fleet.rings))})
    files[FLEET] += (_pull_requests_text(fleet.pull_requests) if fleet.pull_requests else _PULL_REQUESTS_HINT).encode()
    for agent in sorted(set(agents)):
        files |= _render_agent(fleet, agent)
    return files


def render_missing_agents(tree: Tree, fleet: Fleet, deliveries: Iterable[Delivery]) -> dict[str, bytes]:
    """Return the files of what delivers to sites, where the repository has none of them.

    Args:
        tree: The files of the repository.
        fleet: The contents of `fleet.yaml`.
        deliveries: How the sites get what is in the repository.
    """
    files: dict[str, bytes] = {}
    for delivery in deliveries:
        agent, folders = _AGENTS_OF_DELIVERIES.get(delivery, (None, ()))
        if agent and not any(map(tree.list_files, folders)):
            rendered = _render_agent(fleet, agent)
            present = tree.read_all(rendered)
            files |= {path: data for path, data in rendered.items() if path not in present}
    return files


def _render_agent(fleet: Fleet, agent: Agent) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if agent in (Agent.HUB, Agent.ACM):
        files |= render_part(Part.ARGOCD_PROJECT, _values(fleet)) | render_project(fleet, ())
    if (part := _PARTS.get(agent)) is not None:
        files |= render_part(part, _values(fleet))
    return files


def create_repository(
    folder: Path,
    url: str,
    name: str,
    branch: str,
    rings: Sequence[str],
    agents: Sequence[str],
    serving: str = Serving.DEPLOYMENT,
) -> list[str]:
    """Write the files of a new fleet into a folder, and return their paths; a README.md that is there stays.

    Raises:
        ParameterError: a name cannot be used, or a file of the fleet is there already; nothing is written.
        StorageError: the folder cannot be written; nothing is written.
    """
    check_branch(branch)
    for agent in agents:
        if agent not in tuple(Agent):
            raise ParameterError(describe_unknown_choice("agent", agent, tuple(Agent)))
    if serving not in tuple(Serving):
        raise ParameterError(describe_unknown_choice("serving", serving, tuple(Serving)))
    if (folder / FLEET).exists():
        raise ParameterError(f"{folder / FLEET} exists: there is a fleet already.")
    if earlier := find_earlier_layout(Checkout(folder).list_files(SITES)):
        raise ParameterError(f"{folder}/{earlier} is of the layout without rings; {FROM_EARLIER_LAYOUT}.")
    try:
        fleet = new_fleet(name, url, branch, rings or (FIRST_RING,), Serving(serving))
    except ValidationError as error:
        raise ParameterError(f"{FLEET}: {describe_invalid(Fleet, error)}") from error
    files = render_repository(fleet, [Agent(agent) for agent in agents] or (Agent.HUB,))
    written = [path for path in files if path != README or not (folder / README).exists()]
    if present := [path for path in written if (folder / path).exists()]:
        raise ParameterError(f"{folder / present[0]} exists, and is not overwritten; start the fleet elsewhere.")
    write_files(folder, {path: files[path] for path in written})
    return written


def _pull_requests_text(settings: PullRequests) -> str:
    values = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    lines = (f"  {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    return f"# How the pull requests of releases are opened.\npullRequests:\n{''.join(lines)}"


def _values(fleet: Fleet) -> dict[str, str]:
    names = {"fleet": fleet.name, "repository": fleet.repository, "branch": fleet.branch}
    return names | {"serving": fleet.serving, "namespace": NAMESPACE}


def _ring_text(ring: Ring) -> str:
    values = ring.model_dump(mode="json", by_alias=True)
    lines = [f'  - name: "{ring.name}"']
    for key, comment in _RING_COMMENTS.items():
        lines += [f"    # {comment}", f"    {key}: {values[key]}"]
    abort = values["abort"]
    lines += [
        "    # what stops a rollout here, and opens its rollback",
        "    abort:",
        f"      maxErrorRate: {abort['maxErrorRate']}",
        f"      maxIllSites: {abort['maxIllSites']}",
    ]
    return "\n".join(lines)
