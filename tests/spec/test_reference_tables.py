import sys
from types import ModuleType

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output
from pydantic import BaseModel, Field

from kfp_edge.spec import reference_tables


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def merge(parts: Input[list[Artifact]], merged: Output[Dataset], names: list[str] = [], rate: float = 0.5) -> str:  # noqa: B006
    """Merge.

    Args:
        parts: What to merge,
            in order.
        names: Names, a|b.
        rate: A rate.

    Returns:
        merged: The whole.
        Output: Its name.
    """
    return "whole"


class Limits(BaseModel):
    size: int = Field(3, description="Largest size.")
    label: str = Field("", description="A label.")


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The component and the model above, at the addresses that a document names."""
    for name, members in (("example.merge.component", {"merge": merge}), ("example.limits", {"Limits": Limits})):
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("example", "example.merge"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


def test_a_component_has_a_table_of_inputs_and_one_of_outputs() -> None:
    assert reference_tables.component_tables("example.merge") == (
        "| input | type | default | description |\n"
        "|---|---|---|---|\n"
        "| `parts` | `list[Artifact]` | required | What to merge, in order. |\n"
        "| `names` | `list[str]` | | Names, a\\|b. |\n"
        "| `rate` | `float` | `0.5` | A rate. |\n"
        "\n"
        "| output | type | description |\n"
        "|---|---|---|\n"
        "| `merged` | `Dataset` | The whole. |\n"
        "| `Output` | `str` | Its name. |\n"
    )


def test_a_model_has_a_table_of_its_fields() -> None:
    assert reference_tables.options_table("example.limits", "Limits") == (
        "| option | default | description |\n"
        "|---|---|---|\n"
        "| `size` | `3` | Largest size. |\n"
        "| `label` | | A label. |\n"
    )


def test_only_what_is_between_the_comments_changes() -> None:
    text = "before\n<!-- make docs: options example.limits Limits -->\nstale\n<!-- end -->\nafter\n"
    updated = reference_tables.update_tables(text)
    assert updated.startswith("before\n<!-- make docs: options example.limits Limits -->\n| option |")
    assert updated.endswith("| `label` | | A label. |\n<!-- end -->\nafter\n")
    assert reference_tables.update_tables(updated) == updated
