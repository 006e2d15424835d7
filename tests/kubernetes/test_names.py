"""Names, keys and labels are those that Kubernetes 1.34 takes, tried there."""

from collections.abc import Callable

import pytest

from kfp_edge.kubernetes import names

CASES: list[tuple[Callable[[str], str], tuple[str, ...], tuple[str, ...]]] = [
    (
        names.describe_bad_object_name,
        ("a", "0", "a-b.c", "a" * 253),
        ("", "A", "a_b", "-a", "a-", "a..b", ".a", "a.-b", "a" * 254, "ü", "a\n"),
    ),
    (names.describe_bad_volume_name, ("a", "a-b", "a" * 63), ("", "a.b", "A", "a_b", "a-", "a" * 64, "a\n")),
    (
        names.describe_bad_label_key,
        ("a", "A_b.c", "a.b/C", "a/b", f"{'x.' * 120}a/b", "a" * 63),
        ("", "a b", "-a", "A.b/c", "a/b/c", "/a", "a/", "ü", "a" * 64, f"{'a.' * 127}a/b"),
    ),
    (names.describe_bad_annotation_key, ("a", "A.b/c", "A/b"), ("", "a b", "a/b/c", "ü")),
    (names.describe_bad_label_value, ("", "a", "A_b.c-1", "true", "a" * 63), ("a b", "-a", "a-", "ü", "a" * 64, "a\n")),
    (
        names.describe_bad_data_key,
        ("a", "A.b-c_d", "-", ".a", "a..b", "a" * 253),
        ("", ".", "..", "..a", "a b", "a/b", "ü", "a" * 254),
    ),
    (names.describe_bad_variable_name, ("A", "a.b", "A B", "1A", '"'), ("", "A=B", "ü", "A\n", "A\tB")),
    (
        names.describe_bad_resource_name,
        ("cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "kubernetes.io/x"),
        ("gpu", "pods", "storage", "NVIDIA_TESLA_K80", "requests.nvidia.com/gpu", "Nvidia.com/gpu", "a/b/c"),
    ),
    (names.describe_bad_image, ("a", "a:1", "h:5/a/b@sha256:" + "0" * 64), ("", "a b", "Q.io/Org/a", "a:", "a/", "/a")),
]


@pytest.mark.parametrize(("describe", "text"), [(describe, text) for describe, good, _ in CASES for text in good])
def test_what_kubernetes_takes_is_right(describe: Callable[[str], str], text: str) -> None:
    assert describe(text) == ""


@pytest.mark.parametrize(("describe", "text"), [(describe, text) for describe, _, bad in CASES for text in bad])
def test_what_kubernetes_refuses_comes_with_what_to_write(describe: Callable[[str], str], text: str) -> None:
    assert describe(text).startswith("write ")
