"""The rehearsal: what it is made of, and what happens in it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kfp_edge.errors import CommandError, ParameterError, StorageError
from kfp_edge.fleet.contracts import Delivery, Ring
from kfp_edge.fleet.documents import read_site
from kfp_edge.fleet.promotion.judgement import Verdict
from kfp_edge.fleet.simulation.clock import TICK, Clock
from kfp_edge.fleet.simulation.containers import (
    ContainerMachine,
    free_ports,
    removed_pods,
    require_no_pods,
    write_registries,
)
from kfp_edge.fleet.simulation.images import Registry, build_images, serve_images
from kfp_edge.fleet.simulation.machines import Link, Machine, RecordedMachine
from kfp_edge.fleet.simulation.metrics.server import metrics_server
from kfp_edge.fleet.simulation.metrics.store import MetricStore
from kfp_edge.fleet.simulation.models import BETTER, FAILING, FIRST, MODEL
from kfp_edge.fleet.simulation.repository import FleetRepository
from kfp_edge.fleet.simulation.simulation import Simulation
from kfp_edge.fleet.simulation.timeline import Kind, Timeline
from kfp_edge.gitops.tree import Checkout
from kfp_edge.images.base_addresses import SERVING_IMAGE_VARIABLE
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.serving.model_bases import fetch_serving_image

CANARY, EARLY, ALL = RING_NAMES = ("canary", "early", "all")
_SHARES = (0.1, 0.3)
_SOAK = "4h"
#: Every night, where a ring has a site that may not change by day.
_WINDOW = {"window": "0 22 * * *", "duration": "4h"}
_LONGEST = timedelta(days=4)


def rings() -> tuple[Ring, ...]:
    """Return the rings and their policies: soak times of hours, and a share of later rings that may be offline."""
    policies = {CANARY: "0%", EARLY: "10%", ALL: "10%"}
    return tuple(
        Ring.model_validate({"name": name, "soakTime": _SOAK, "maxOffline": share}) for name, share in policies.items()
    )


@dataclass(frozen=True)
class Plan:
    """How large a rehearsal is.

    Attributes:
        sites: How many sites there are, at least one for each ring.
        containers: How many of them run real containers.
    """

    sites: int
    containers: int

    def __post_init__(self) -> None:
        if self.sites < len(RING_NAMES):
            raise ParameterError(f"--sites {self.sites} is too few: each of the {len(RING_NAMES)} rings needs one.")
        if not 0 <= self.containers <= self.sites:
            raise ParameterError(f"--containers {self.containers} has to be from 0 to the {self.sites} sites.")

    def rows(self) -> list[dict[str, str]]:
        """Return the sites as `fleet add-site --csv` reads them."""
        canary, early = (max(1, round(share * self.sites)) for share in _SHARES)
        sizes = (canary, early, self.sites - canary - early)
        width = max(2, len(str(self.sites)))
        names = (ring for ring, size in zip(RING_NAMES, sizes, strict=True) for _ in range(size))
        rows = [
            {"name": f"hall-{number:0{width}}", "ring": ring, "delivery": str(Delivery.PODMAN)}
            for number, ring in enumerate(names, 1)
        ]
        rows[canary + early - 1] |= _WINDOW
        return rows

    def with_container(self) -> list[str]:
        """Return the sites with containers, taken from all rings in turn."""
        by_ring = [[row["name"] for row in self.rows() if row["ring"] == ring] for ring in RING_NAMES]
        longest = max(map(len, by_ring))
        in_turn = [names[number] for number in range(longest) for names in by_ring if number < len(names)]
        return in_turn[: self.containers]


@contextmanager
def start(plan: Plan, folder: Path, show: Callable[[str], None]) -> Iterator[Simulation]:
    """Set up a fleet in a folder, and end all that was started with the block.

    Args:
        plan: How large it is.
        folder: An empty folder.
        show: Called with each line of progress.

    Raises:
        KfpEdgeError: a program is missing, or refuses.
    """
    named = plan.with_container()
    require_no_pods(named)
    with ExitStack() as stack:
        digests = build_images(folder / "images", find_base(plan, show))
        registry = Registry(folder / "images", stack.enter_context(serve_images(folder / "images")), digests)
        metrics = MetricStore()
        repository = FleetRepository.create(folder)
        repository.write_fleet(rings(), stack.enter_context(metrics_server(metrics)))
        repository.write_releases(MODEL, registry.image_name, digests[FIRST.name])
        ports = dict(zip(named, free_ports(len(named)), strict=True))
        repository.write_sites(plan.rows(), ports)
        clock = Clock()
        repository.commit(f"feat: a fleet of {plan.sites} sites", clock.now)
        if named:
            stack.enter_context(removed_pods(named, registry.address))
        machines = _make_machines(plan, folder, repository, registry, ports)
        yield Simulation(repository, registry, metrics, machines, Timeline(show), clock)


def find_base(plan: Plan, show: Callable[[str], None]) -> ImageRef | None:
    """Return the serving image on which the model is put; None where no container is started.

    Raises:
        KfpEdgeError: there is no such image, or it can be neither fetched nor built.
    """
    if not plan.containers:
        return None
    show(f"finding the serving image, which is built once unless {SERVING_IMAGE_VARIABLE} names one")
    return fetch_serving_image(progress=show).image


def _make_machines(
    plan: Plan, folder: Path, repository: FleetRepository, registry: Registry, ports: Mapping[str, int]
) -> list[Machine]:
    registries = write_registries(folder / "registries.conf", registry.address)
    machines: list[Machine] = []
    for row in plan.rows():
        site = read_site(Checkout(repository.checkout), row["name"])
        home = folder / "machines" / site.name
        home.mkdir(parents=True)
        link = Link(home / "link", repository.bare)
        if site.name in ports:
            machines.append(
                ContainerMachine(
                    site,
                    link,
                    home / "state",
                    port=ports[site.name],
                    checkout=repository.checkout,
                    registries=registries,
                )
            )
        else:
            minutes = TICK.total_seconds() / 60
            machines.append(RecordedMachine(site, link, home, registry=registry, minutes=minutes))
    return machines


def play(simulation: Simulation) -> None:
    """Let a release reach every ring, another one fail at the first ring, and a person take back the last ring.

    Raises:
        KfpEdgeError: something that a user would have seen, too.
    """
    hour = timedelta(hours=1)
    simulation.install()
    containers = [machine.site.name for machine in simulation.machines if isinstance(machine, ContainerMachine)]
    real = f", as containers at {', '.join(containers)}" if containers else ""
    simulation.note(Kind.SITES, "", f"all {len(simulation.machines)} sites run {FIRST.name}{real}")
    simulation.run_for(hour / 2)
    _cut(simulation, simulation.of_ring(CANARY)[-1], 4 * hour)
    simulation.run_for(hour / 2)
    simulation.release(BETTER.name, CANARY)
    early = simulation.of_ring(EARLY)
    if len(early) > 1:  # the last one is waiting for a window
        simulation.plan(9 * hour, lambda: _cut(simulation, early[0], 14 * hour))
    if simulation.roll_out(_LONGEST) is not Verdict.GO_ON:
        raise _unexpected(f"{BETTER.name} did not reach every ring")
    simulation.note(Kind.SITES, "", f"fleet status: {simulation.summarize()}")
    simulation.run_for(2 * hour)
    simulation.release(FAILING.name, CANARY)
    if simulation.roll_out(_LONGEST) is not Verdict.ABORT:
        raise _unexpected(f"{FAILING.name} was not stopped")
    simulation.run_for(2 * hour)
    simulation.roll_back(ALL, "Operators report false alarms.")
    simulation.run_for(2 * hour)
    simulation.note(Kind.SITES, "", f"fleet status: {simulation.summarize()}")


def _unexpected(what: str) -> CommandError:
    return CommandError(
        f"the rehearsal went otherwise than planned: {what}; see above why. Where containers start too slowly, as on a "
        "busy machine, rehearse with --containers 0.",
        "",
    )


def _cut(simulation: Simulation, machine: Machine, duration: timedelta) -> None:
    name, ring = machine.site.name, machine.site.ring
    machine.cut_link(simulation.clock.now)
    simulation.note(Kind.LINK, ring, f"the link of {name} is cut: no commits, no metrics")

    def restore() -> None:
        machine.restore_link(simulation.clock.now)
        simulation.note(Kind.LINK, ring, f"the link of {name} is back")

    simulation.plan(duration, restore)


@contextmanager
def workspace(output: Path | None) -> Iterator[Path]:
    """Yield the folder of a rehearsal: a temporary one, or one that stays and must be empty.

    Raises:
        ParameterError: there is something in the folder.
        StorageError: it cannot be made.
    """
    if output is None:
        with tempfile.TemporaryDirectory(prefix="kfp-edge-rehearsal-") as name:
            yield Path(name)
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ParameterError(f"--output {output} is not an empty folder; name one that is empty or not there.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {output}: {error.strerror}.") from error
    yield output.absolute()
