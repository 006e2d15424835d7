"""A saved model is loaded, or refused with a reason; no code in it ever runs."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.skops_model import load_model, save_model
from support.tables import anomalies, failures, train_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "model.skops"
    save_model(train_model(failures(400)), path)
    return path.read_bytes()


def test_skops_can_read_a_saved_model(saved):
    types = skops.io.get_untrusted_types(data=saved)
    assert skops.io.loads(saved, trusted=types).classes_.tolist() == [0, 1]


def test_a_pickle_is_refused_and_never_loaded(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(KfpEdgeError, match="damaged or was not saved with skops"):
        load_model(path)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(KfpEdgeError, match="there is no model at .*absent.skops"):
        load_model(tmp_path / "absent.skops")


def test_a_type_that_is_not_trusted_is_named(tmp_path):
    class Odd(LogisticRegression):
        pass

    Odd.__module__ = "somewhere"
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(Odd()))
    with pytest.raises(KfpEdgeError, match=r"not trusted: somewhere\.Odd"):
        load_model(path)


@given(cut=st.floats(min_value=0, max_value=0.999))
def test_a_truncated_model_is_refused(saved, tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "model.skops"
    path.write_bytes(saved[: int(len(saved) * cut)])
    with pytest.raises(KfpEdgeError, match="damaged"):
        load_model(path)


def test_a_tree_that_points_outside_itself_is_refused(tmp_path):
    data = anomalies(600)
    forest = train_model(data)
    path = tmp_path / "model.skops"
    save_model(forest, path)
    path.write_bytes(_altered(path.read_bytes(), "left_child", 10_000))
    with pytest.raises(KfpEdgeError, match="points outside itself"):
        load_model(path)


def test_a_random_forest_can_be_loaded(tmp_path):
    data = failures(300, categorical=False)
    path = tmp_path / "model.skops"
    save_model(RandomForestClassifier(5, random_state=0).fit(data.x(), data.y()), path)
    assert load_model(path).n_classes_ == 2


def _altered(saved: bytes, field: str, value: int) -> bytes:
    """Put `value` into `field` of the first node of every tree in a saved model."""
    source, target = zipfile.ZipFile(io.BytesIO(saved)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(data))
                if array.dtype.names and field in array.dtype.names:
                    array[field][0] = value
                    stream = io.BytesIO()
                    np.save(stream, array)
                    data = stream.getvalue()
            archive.writestr(name, data)
    return target.getvalue()
