"""A watch yields an object, its changes and its deletion, whatever happens to the connection."""

from typing import Any

import pytest

from kfp_edge.kubernetes import Cluster, ClusterError
from support.cluster import RUNNER, config_map, set_data, set_environment, status_codes
from support.fake_kubernetes import FakeKubernetes


def test_a_watch_yields_the_object_its_changes_and_its_deletion(cluster: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=60)
    assert _data(next(states)) == {"step": "0"}
    set_data(fake, step="1")
    assert _data(next(states)) == {"step": "1"}
    fake.apply(config_map("another"))
    set_data(fake, step="2")
    assert _data(next(states)) == {"step": "2"}
    fake.delete("ConfigMap", "ds-project", "one")
    assert list(states) == [None]


def _data(found: dict[str, Any] | None) -> dict[str, str]:
    assert found is not None
    data: dict[str, str] = found["data"]
    return data


def test_a_watch_of_an_object_that_does_not_exist_yields_none(cluster: Cluster) -> None:
    assert list(cluster.watch("ConfigMap", "one", seconds=60)) == [None]


def test_a_watch_ends_after_its_seconds(cluster: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(config_map(step="0"))
    assert [_data(found) for found in cluster.watch("ConfigMap", "one", seconds=0.1)] == [{"step": "0"}]


def test_a_watch_that_repeats_yields_an_object_that_does_not_change(cluster: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=60, repeat=1)
    assert [_data(next(states)) for _ in range(2)] == [{"step": "0"}] * 2
    fake.delete("ConfigMap", "ds-project", "one")
    assert next(states) is None


@pytest.mark.parametrize("gone", [False, True], ids=["dropped", "410 in the stream"])
def test_a_watch_that_breaks_is_resumed(cluster: Cluster, fake: FakeKubernetes, short_delays: None, gone: bool) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=60)
    next(states)
    for step in "123":
        fake.drop_watches(gone)
        set_data(fake, step=step)
        assert _data(next(states)) == {"step": step}
    assert len(status_codes(fake, "watch")) > 1


@pytest.mark.parametrize("verb", ["get", "watch"])
@pytest.mark.parametrize("status", [410, 429, 500, 503])
def test_a_watch_survives_errors_of_the_api(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None, verb: str, status: int
) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=60)
    next(states)
    fake.fail(verb, "configmaps", status=status, times=9)
    fake.drop_watches()
    set_data(fake, step="1")
    assert _data(next(states)) == {"step": "1"}
    set_data(fake, step="2")
    assert _data(next(states)) == {"step": "2"}


def test_a_watch_that_was_interrupted_yields_a_deletion_in_between(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=60)
    next(states)
    fake.fail("watch", "configmaps", status=503)
    fake.delete("ConfigMap", "ds-project", "one")
    assert list(states) == [None]


def test_a_watch_continues_with_a_renewed_token(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, fake.pod(RUNNER, "ds-project"))
    fake.apply(config_map(step="0"))
    states = Cluster.connect().watch("ConfigMap", "one", seconds=60)
    next(states)
    fake.expire_token(RUNNER)
    set_data(fake, step="1")
    assert _data(next(states)) == {"step": "1"}


def test_a_watch_of_an_api_that_keeps_failing_raises_its_error_in_the_end(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.apply(config_map(step="0"))
    states = cluster.watch("ConfigMap", "one", seconds=2)
    next(states)
    fake.fail("*", "configmaps", status=503, times=10**6)
    with pytest.raises(ClusterError, match="answered 503 to the request to get configmaps one"):
        next(states)


def test_a_watch_that_is_forbidden_raises_at_once(cluster: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(config_map(step="0"))
    fake.fail("watch", "configmaps", status=403)
    with pytest.raises(ClusterError, match="does not allow us to watch configmaps"):
        list(cluster.watch("ConfigMap", "one", seconds=60))
