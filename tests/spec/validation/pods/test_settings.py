"""Image, times, user, labels and image pull secrets are those that a pod can have."""

from typing import Any

import pytest

from support.task_pods import CONFIG, CONTAINER, FROM_A_RUN, IN_A_TEXT, assert_found, pod_findings


@pytest.mark.parametrize(
    "image",
    [
        *("a", "a:1", "library/a:1.0_x", "Quay.io/org/a:1", "localhost:5000/a/b@sha256:" + "1" * 64, IN_A_TEXT),
        *("registry.example.com/a__b/c-d.e:latest@sha256:" + "0" * 64, "127.0.0.1/a:1", "Org/a"),
    ],
)
def test_a_reference_to_an_image_is_valid(image: str) -> None:
    assert pod_findings({"image": image}) == []


@pytest.mark.parametrize(
    "image", ["BAD IMAGE//x", " a:1", "a:1\n", "quay.io/Org/a:1", "a:", "a@sha256:12", "https://a/b", "a/b:t:u"]
)
def test_what_is_no_reference_to_an_image_is_reported(image: str) -> None:
    assert_found(pod_findings({"image": image}), f"{CONTAINER}.image", repr(image), "write HOST/REPOSITORY:TAG")


def test_a_container_that_runs_nothing_is_reported() -> None:
    found = pod_findings({"command": [], "args": []})
    assert_found(found, f"{CONTAINER}.command", "write the program")
    assert pod_findings({"command": [], "args": ["true"]}) == []


@pytest.mark.parametrize("policy", ["Always", "IfNotPresent", "Never", ""])
def test_a_pull_policy_is_valid(policy: str) -> None:
    assert pod_findings(config={"imagePullPolicy": policy}) == []


@pytest.mark.parametrize("policy", ["Sometimes", "always"])
def test_another_pull_policy_is_reported(policy: str) -> None:
    found = pod_findings(config={"imagePullPolicy": policy})
    assert_found(found, f"{CONFIG}.imagePullPolicy", repr(policy), "write one of Always, IfNotPresent, Never")


def test_a_time_limit_beyond_32_bits_is_reported() -> None:
    assert pod_findings(config={"activeDeadlineSeconds": 2**31 - 1}) == []
    found = pod_findings(config={"activeDeadlineSeconds": 2**31})
    assert_found(found, f"{CONFIG}.activeDeadlineSeconds", "write at most 2147483647 seconds")


@pytest.mark.parametrize("secret", [{"secretName": "a"}, {"secretNameParameter": FROM_A_RUN}, {"secretName": "A_B"}])
def test_an_image_pull_secret_with_a_name_is_valid(secret: dict[str, Any]) -> None:
    # one that does not exist, or cannot, is no fault for Kubernetes: the image may be public
    assert pod_findings(config={"imagePullSecret": [secret]}) == []


@pytest.mark.parametrize(
    "secret", [{}, {"secretName": ""}, {"secretNameParameter": {"runtimeValue": {"constant": ""}}}]
)
def test_an_image_pull_secret_without_a_name_is_reported(secret: dict[str, Any]) -> None:
    (found,) = pod_findings(config={"imagePullSecret": [secret]})
    assert f"{CONFIG}.imagePullSecret[0].secretName" in found
    assert "name one, or remove the reference" in found


@pytest.mark.parametrize("key", ["runAsUser", "runAsGroup"])
def test_a_user_beyond_its_range_is_reported(key: str) -> None:
    assert pod_findings(config={"securityContext": {key: 1000}}) == []
    for number in (-1, 2**31):
        assert_found(pod_findings(config={"securityContext": {key: number}}), f"{CONFIG}.securityContext.{key}")


def test_labels_and_annotations_that_a_pod_can_have_are_valid() -> None:
    metadata = {"labels": {"a.b/c": "d-1", "e": ""}, "annotations": {"A.b/c": "any text ü", "f": IN_A_TEXT}}
    assert pod_findings(config={"podMetadata": metadata}) == []


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"labels": {"l bad!": "x"}}, 'labels["l bad!"]'),
        ({"labels": {"a": "v bad!!"}}, "labels.a"),
        ({"labels": {"a": "b\n"}}, "labels.a"),
        ({"annotations": {"a b": "x"}}, 'annotations["a b"]'),
        ({"annotations": {"a/b/c": "x"}}, 'annotations["a/b/c"]'),
        ({"annotations": {"a": "x" * 256 * 1024}}, "annotations"),
    ],
)
def test_labels_and_annotations_that_no_pod_can_have_are_reported(metadata: dict[str, Any], path: str) -> None:
    assert_found(pod_findings(config={"podMetadata": metadata}), f"{CONFIG}.podMetadata.{path}")


def test_a_password_in_the_place_of_an_image_is_not_shown() -> None:
    (found,) = pod_findings({"image": "https://plant:Geheimnis-4711@registry.example.com/a"})
    assert "Geheimnis" not in found
    assert "write HOST/REPOSITORY:TAG" in found
