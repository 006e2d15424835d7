"""Settings of a pod that no backend does anything about are reported."""

import pytest

from support.pipelines import codes, container, executor_config, lint_changed, problem_lines

CONFIG = "platforms.kubernetes.deploymentSpec.executors.exec-work-2"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("podAffinity", [{"topologyKey": "kubernetes.io/hostname"}]),
        ("enabledSharedMemory", {"size": "64Mi"}),
        ("activeDeadlineSeconds", -5),
    ],
)
def test_a_setting_that_nothing_reads_is_reported(key, value):
    (line,) = problem_lines(lint_changed(lambda _, platform: executor_config(platform).update({key: value})))
    assert line.startswith(f"KE016 {CONFIG}.{key}: ")
    assert "remove it" in line


@pytest.mark.parametrize(
    ("key", "value"), [("nodeAffinity", []), ("activeDeadlineSeconds", 0), ("activeDeadlineSeconds", 60)]
)
def test_a_setting_that_has_an_effect_is_accepted(key, value):
    assert codes(lint_changed(lambda _, platform: executor_config(platform).update({key: value}))) == []


@pytest.mark.parametrize(
    ("accelerator", "missing"),
    [
        ({"resourceCount": "1", "count": "1"}, "set_accelerator_type"),
        ({"resourceType": "nvidia.com/gpu"}, "a number above zero"),
        ({"type": "nvidia.com/gpu", "count": "0"}, "a number above zero"),
    ],
)
def test_half_of_an_accelerator_is_reported(accelerator, missing):
    def change(spec, _):
        container(spec)["resources"]["accelerator"] = accelerator

    (line,) = problem_lines(lint_changed(change))
    assert line.startswith("KE016 deploymentSpec.executors.exec-work.container.resources.accelerator: ")
    assert missing in line


@pytest.mark.parametrize("accelerator", [{}, {"type": "nvidia.com/gpu", "count": "1"}])
def test_none_or_a_whole_accelerator_is_accepted(accelerator):
    def change(spec, _):
        container(spec)["resources"]["accelerator"] = accelerator

    assert codes(lint_changed(change)) == []
