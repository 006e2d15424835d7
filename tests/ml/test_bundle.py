"""A bundle is written completely or not at all, has the same bytes for the same model, and is refused when altered."""

import hashlib
import json
import shlex
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import CONTENTS, MANIFEST, Bundle, InputTensor
from support.bundles import tiny_bundle
from support.paths import ROOT
from support.small_disks import run_on_small_disk

_ON_A_SMALL_DISK = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from support.bundles import tiny_bundle
    from kfp_edge.errors import KfpEdgeError
    disk = Path({disk!r})
    tiny_bundle(disk / "bundle", version="1.0.0")
    (disk / "other").write_bytes(b"x" * {filler})
    try:
        tiny_bundle(disk / "bundle", version="2.0.0")
    except KfpEdgeError as error:
        print(error)
    print(sorted(path.name for path in disk.iterdir()))
    from kfp_edge.ml.bundle import Bundle
    print(Bundle.load(disk / "bundle").manifest.version)
"""


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle")


def test_the_same_model_gives_the_same_bundle_wherever_it_is_written(tmp_path):
    assert tiny_bundle(tmp_path / "a").digest == tiny_bundle(tmp_path / "deep" / "b").digest


def test_a_new_bundle_replaces_every_file_of_the_old_one(bundle):
    (bundle.folder / "leftover").touch()
    tiny_bundle(bundle.folder, version="2.0.0")
    assert sorted(path.name for path in bundle.folder.iterdir()) == sorted([MANIFEST, *CONTENTS])


@pytest.mark.parametrize("name", CONTENTS)
def test_a_missing_file_is_named(bundle, name):
    (bundle.folder / name).unlink()
    with pytest.raises(KfpEdgeError, match=f"lacks {name}"):
        Bundle.load(bundle.folder)


@given(data=st.data(), name=st.sampled_from(CONTENTS))
def test_one_changed_byte_in_any_file_is_detected(tmp_path_factory, data, name):
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle") / "b").folder
    whole = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(whole)
    with pytest.raises(KfpEdgeError, match=f"{name} was altered after it was verified"):
        Bundle.load(folder)


def test_a_manifest_with_an_unknown_field_is_refused_with_its_name(bundle):
    manifest = json.loads((bundle.folder / MANIFEST).read_text())
    (bundle.folder / MANIFEST).write_text(json.dumps({**manifest, "colour": "red"}))
    with pytest.raises(KfpEdgeError, match="does not follow the bundle contract: colour: "):
        Bundle.load(bundle.folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(KfpEdgeError, match=r"cannot read .*manifest\.json: No such file"):
        Bundle.load(tmp_path)


def test_a_loaded_bundle_has_what_was_written(bundle):
    assert bundle.signature.inputs[0].columns[1].range == (-1, 2)
    assert bundle.samples.samples[0].response["outputs"][0]["data"] == [5.0]
    assert bundle.reference.rows == 3


def test_a_bundle_says_which_dimension_is_the_rows(bundle):
    signature = json.loads((bundle.folder / "signature.json").read_text())
    assert {tensor["batch_dimension"] for tensor in signature["inputs"] + signature["outputs"]} == {0}


def test_a_tensor_may_have_no_dimension_of_rows():
    signal = {"name": "samples", "datatype": "FP32", "shape": [-1], "columns": [], "batch_dimension": "none"}
    assert InputTensor.model_validate(signal).model_dump(mode="json")["batch_dimension"] == "none"


@pytest.mark.parametrize("wrong", [1, -1, "first"])
def test_a_batch_dimension_that_a_tensor_does_not_have_is_refused(wrong):
    with pytest.raises(ValidationError, match="batch_dimension"):
        InputTensor.model_validate(
            {"name": "samples", "datatype": "FP32", "shape": [-1], "columns": [], "batch_dimension": wrong}
        )


@pytest.fixture
def divided(bundle) -> Bundle:
    """Return a bundle with weights of the model in a file of its own, as other tools write it."""
    weights = bundle.folder / "parts" / "weights.bin"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    entry = {"sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}
    change_files(bundle, lambda files: {**files, "parts/weights.bin": entry})
    return bundle


def change_files(bundle, change) -> None:
    manifest = json.loads((bundle.folder / MANIFEST).read_text())
    (bundle.folder / MANIFEST).write_text(json.dumps({**manifest, "files": change(manifest["files"])}))


def test_files_with_weights_belong_to_the_bundle(divided):
    assert "parts/weights.bin" in Bundle.load(divided.folder).files


def test_altered_weights_are_refused(divided):
    (divided.folder / "parts" / "weights.bin").write_bytes(b"others!")
    with pytest.raises(KfpEdgeError, match=r"parts/weights\.bin was altered after it was verified"):
        Bundle.load(divided.folder)


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/hostname"])
def test_a_file_outside_of_the_bundle_is_refused(divided, name):
    change_files(divided, lambda files: {**files, name: files["parts/weights.bin"]})
    with pytest.raises(KfpEdgeError, match="is not in the folder of the bundle"):
        Bundle.load(divided.folder)


def test_a_full_disk_is_reported_and_the_old_bundle_stays(tmp_path):
    disk = tmp_path / "disk"
    script = textwrap.dedent(_ON_A_SMALL_DISK).format(tests=str(ROOT / "tests"), disk=str(disk), filler=36_000)
    (tmp_path / "script.py").write_text(script)
    done = run_on_small_disk(disk, "64k", shlex.join([sys.executable, str(tmp_path / "script.py")]))
    assert done.stdout.splitlines() == [
        f"cannot write {disk}/bundle: No space left on device; no incomplete file is left; "
        "free some space and run again.",
        "['bundle', 'other']",
        "1.0.0",
    ], done.stderr
