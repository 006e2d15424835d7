"""References to images read back as they were written, and wrong ones are refused with the reason."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry

DIGEST = "sha256:" + "0123456789abcdef" * 4

digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
names = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", fullmatch=True)
hosts = st.from_regex(r"(?:localhost|[a-z0-9-]+\.[a-z0-9-]+)(?::[0-9]{1,5})?", fullmatch=True)
folders = st.lists(
    st.text(string.ascii_letters + string.digits + "@ .é'-_", min_size=1).filter(lambda part: part.strip(".")),
    min_size=1,
).map(lambda parts: "/" + "/".join(parts))
images = st.builds(ImageRef, st.just("oci"), folders, digests) | st.builds(
    lambda host, path, digest: ImageRef("docker", "/".join([host, *path]), digest),
    hosts,
    st.lists(names, min_size=1),
    digests,
)


@given(image=images)
def test_a_reference_reads_back_as_it_was_written(image: ImageRef) -> None:
    assert ImageRef.parse(str(image)) == image


def test_a_reference_has_the_parts_that_it_was_made_of() -> None:
    image = ImageRef.parse(f"docker://quay.io:443/edge/pump@{DIGEST}")
    assert (image.transport, image.repository, image.name) == ("docker", "quay.io:443/edge/pump", "pump")
    assert image.digest == DIGEST


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("docker://quay.io/edge/pump:1.0", "not named by digest"),
        (f"docker://quay.io/edge/pump@{DIGEST[:-1]}", "not named by digest"),
        (f"quay.io/edge/pump@{DIGEST}", "not a valid image location"),
        (f"docker://quay.io@{DIGEST}", "names no repository"),
        (f"docker://quay.io/Edge/pump@{DIGEST}", "not a registry's address"),
        (f"docker://edge/pump@{DIGEST}", "not a registry's address"),
        (f"docker://me:secret@quay.io/pump@{DIGEST}", "not a registry's address"),
        (f"oci:/a/b:1.0@{DIGEST}", "colon"),
        (f"oci:@{DIGEST}", "not a valid image location"),
    ],
)
def test_a_wrong_reference_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(KfpEdgeError, match=sentence):
        ImageRef.parse(text)


def test_candidates_and_releases_of_a_model_are_apart() -> None:
    registry = ImageRegistry.parse("docker://quay.io/edge")
    assert str(registry.candidates("pump")) == "docker://quay.io/edge/pump-candidate"
    assert str(registry.releases("pump")) == "docker://quay.io/edge/pump"


def test_a_registry_in_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(ImageRegistry.parse("oci:registry").releases("pump")) == f"oci:{tmp_path}/registry/pump"


def test_a_model_name_that_a_registry_would_refuse_is_refused() -> None:
    with pytest.raises(KfpEdgeError, match="cannot name an image"):
        ImageRegistry.parse("oci:registry").releases("../pump")
