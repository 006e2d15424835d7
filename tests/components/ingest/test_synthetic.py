import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.reading import synthetic
from support.ingest import AI4I, IngestRunner, needs_data


def test_synthetic_data_has_the_documented_columns_and_types() -> None:
    assert {field.name: str(field.type) for field in synthetic.ai4i(100, 0).schema} == {
        "UDI": "int64",
        "Product ID": "string",
        "Type": "string",
        "Air temperature [K]": "double",
        "Process temperature [K]": "double",
        "Rotational speed [rpm]": "int64",
        "Torque [Nm]": "double",
        "Tool wear [min]": "int64",
        **dict.fromkeys(("Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"), "int64"),
    }


@needs_data
def test_synthetic_data_has_the_columns_and_types_of_the_published_file() -> None:
    published, made = pd.read_csv(AI4I), synthetic.ai4i(100, 0).to_pandas()
    assert made.dtypes.to_dict() == published.dtypes.to_dict()


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    return synthetic.ai4i(100_000, 7).to_pandas()


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_failures_is_near_the_published_one(seed: int) -> None:
    assert synthetic.ai4i(20_000, seed).to_pandas()["Machine failure"].mean() == pytest.approx(0.034, abs=0.006)


def test_a_row_fails_when_any_of_its_modes_does(made: pd.DataFrame) -> None:
    assert (made["Machine failure"] == made[["TWF", "HDF", "PWF", "OSF", "RNF"]].max(axis=1)).all()


def test_each_failure_mode_follows_its_rule(made: pd.DataFrame) -> None:
    difference = (made["Process temperature [K]"] - made["Air temperature [K]"]).round(1)
    speed, torque, wear = (made[name] for name in ("Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]"))
    power = speed * torque * 2 * np.pi / 60
    limit = made["Type"].map({"L": 11_000, "M": 12_000, "H": 13_000})
    assert (made["HDF"] == ((difference < 8.6) & (speed < 1380))).all()
    assert (made["PWF"] == ((power < 3500) | (power > 9000))).all()
    assert (made["OSF"] == (wear * torque > limit)).all()
    assert wear[made["TWF"] == 1].between(200, 245).all()


def test_tools_wear_by_quality_and_are_replaced_after_200_to_240_minutes(made: pd.DataFrame) -> None:
    wear = made["Tool wear [min]"]
    step = made["Type"].map({"L": 2, "M": 3, "H": 5}).shift()
    replaced = wear.diff() < 0
    assert (wear.diff()[1:] == step[1:])[~replaced[1:]].all()
    assert (wear[replaced] == 0).all()
    assert wear[replaced.shift(-1, fill_value=False)].between(200, 245).all()


def test_quality_torque_and_temperature_are_distributed_as_documented(made: pd.DataFrame) -> None:
    assert made["Type"].value_counts(normalize=True).to_dict() == pytest.approx(
        {"L": 0.5, "M": 0.3, "H": 0.2}, abs=0.01
    )
    assert made["Torque [Nm]"].agg(["mean", "std"]).tolist() == pytest.approx([40, 10], abs=0.1)
    assert made["Torque [Nm]"].min() > 0
    assert made["Air temperature [K]"].agg(["mean", "std"]).tolist() == pytest.approx([300, 2], abs=0.05)


def test_the_same_address_gives_the_same_rows_and_another_seed_does_not() -> None:
    first, again, other = (synthetic.generate(f"synthetic:ai4i?rows=50&seed={seed}") for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_synthetic_data_has_a_target_and_drops_the_columns_that_leak_it(runner: IngestRunner) -> None:
    roles = runner.run("synthetic:ai4i?rows=2000", target="", drop=()).train.roles
    assert (roles.target, roles.categorical, len(roles.numeric)) == ("Machine failure", ("Type",), 5)


def test_the_hash_of_synthetic_data_is_that_of_its_csv(runner: IngestRunner) -> None:
    first, again, other = (runner.run(f"synthetic:ai4i?rows=500&seed={s}", target="", drop=()) for s in (1, 1, 2))
    assert first.train.sha256 == again.train.sha256 != other.train.sha256


@pytest.mark.parametrize(
    "uri", ["synthetic:cmapss", "synthetic:ai4i?rows=x", "synthetic:ai4i?rows=0", "synthetic:ai4i?n=1"]
)
def test_an_unknown_generator_or_option_is_refused(runner: IngestRunner, uri: str) -> None:
    runner.assert_refused(uri, uri, target="", drop=())
