"""The rule on cached tasks that read an address: KFP's cache key has the address and not the content."""

import re
from typing import Any

import pytest
from kfp import dsl

from kfp_edge.rules import lint_text
from kfp_edge.rules.address_rules import ADDRESSES_OF_STAGES
from kfp_edge.spec.compiling import compiler
from support.paths import ROOT
from support.pipelines import IMAGE, problem_lines


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read(source: str, model_url: str = "", size: int = 1) -> str:
    return source + model_url + str(size)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def use(table: dsl.Input[dsl.Dataset]) -> None:
    print(table.uri)


def findings(pipeline: Any) -> list[str]:
    return [line for line in problem_lines(lint_text(compiler.compile_to_yaml(pipeline))) if line.startswith("KE015")]


def pipeline_with(value: str | None, *, cached: bool = True) -> Any:
    """Return a pipeline with a task that reads a constant, or a parameter whose default is an address if it is None."""

    @dsl.pipeline(name="reading")
    def reading(table: str = "s3://plant/press"):
        read(source=table if value is None else value).set_caching_options(cached)

    return reading


@pytest.mark.parametrize(
    "address",
    [
        "s3://plant/press/2026",
        "https://data.example.com/a.csv",
        "gs://plant/a",
        "git@git.example.com:team/repo.git",
        "git+https://git.example.com/team/repo",
        "file:///mnt/data",
        "postgresql+psycopg://db.example.com/plant",
        "jdbc:postgresql://db.example.com/plant",
        "docker://quay.io/plant/a:1",
    ],
)
def test_a_cached_task_that_reads_an_address_is_reported(address: str) -> None:
    (line,) = findings(pipeline_with(address))
    assert line == (
        "KE015 root.dag.tasks.read.cachingOptions.enableCache: "
        f"caching is on, but the input 'source' is the address {address}."
    )


def test_a_parameter_whose_default_is_an_address_is_one() -> None:
    (line,) = findings(pipeline_with(None))
    assert line.endswith("the input 'source' is the address s3://plant/press.")


@pytest.mark.parametrize(
    "value",
    [
        "press",
        "a/b",
        "docker://quay.io/a/b@sha256:" + "1" * 64,
        "git+https://git.example.com/a@" + "1a" * 20,
        "s3://plant/a.csv?versionId=3sL4kqtJlcp",
        "https://data.example.com/a.whl#sha256=" + "1a" * 32,
    ],
)
def test_a_text_or_a_digest_is_no_address(value: str) -> None:
    assert findings(pipeline_with(value)) == []


def test_without_caching_an_address_is_read_every_time() -> None:
    assert findings(pipeline_with("s3://plant/press", cached=False)) == []


def test_a_finding_does_not_repeat_a_password() -> None:
    (line,) = findings(pipeline_with("https://anna:hidden@data.example.com/a.csv?sig=hidden"))
    assert "hidden" not in line


def test_an_input_that_is_called_an_address_is_one_when_the_user_of_the_pipeline_sets_it() -> None:
    @dsl.pipeline(name="named")
    def named(url: str):
        read(source="x", model_url=url)
        read(source="x")

    (line,) = findings(named)
    assert line.endswith("the input 'model_url' is an address by its name.")


def test_an_address_is_followed_into_nested_pipelines_and_exit_handlers() -> None:
    @dsl.pipeline(name="inner")
    def inner(data: str):
        read(source=data)

    @dsl.pipeline(name="outer")
    def outer(table: str = "s3://plant/press"):
        with dsl.ExitHandler(read(source="x").set_caching_options(False)):
            inner(data=table)

    (line,) = findings(outer)
    assert line.endswith("is the address s3://plant/press.")


def test_addresses_in_lists_mappings_and_loops_are_found_where_a_task_takes_them() -> None:
    @dsl.component(base_image="example.com/a@sha256:" + "1" * 64, install_kfp_package=False)
    def read_all(sources: list, options: dict) -> None:
        print(sources, options)

    @dsl.pipeline(name="many")
    def many():
        read_all(sources=["a", "s3://plant/a"], options={})
        read_all(sources=["a"], options={"table": {"at": "s3://plant/b"}})
        read_all(sources=["a"], options={})
        with dsl.ParallelFor(["s3://plant/c", "s3://plant/d"]) as item:
            read(source=item)
        with dsl.ParallelFor([{"label": "e", "at": "s3://plant/e"}]) as item:
            read(source=item.label)
            read(source=item.at)

    assert sorted(line.partition("the input ")[2] for line in findings(many)) == [
        "'options' holds the address s3://plant/b.",
        "'source' holds the address s3://plant/c.",
        "'source' holds the address s3://plant/e.",
        "'sources' holds the address s3://plant/a.",
    ]


def test_an_importer_that_does_not_import_again_is_reported() -> None:
    def importing(reimport: bool) -> Any:
        @dsl.pipeline(name="importing")
        def pipeline():
            use(table=dsl.importer("s3://plant/a.csv", dsl.Dataset, reimport=reimport).output)

        return pipeline

    (line,) = findings(importing(reimport=False))
    assert line.startswith("KE015 deploymentSpec.executors.exec-importer.importer: reimport is off")
    assert findings(importing(reimport=True)) == []


def test_a_stage_of_ours_that_reads_what_the_user_chooses_is_reported() -> None:
    from kfp_edge.components.fetch_model.component import fetch_model
    from kfp_edge.components.ingest.component import ingest

    @dsl.pipeline(name="ours")
    def ours(data: str = "synthetic:ai4i?rows=10"):
        ingest(data=data, target="failed")
        ingest(data="synthetic:ai4i?rows=10")
        fetch_model(model="example:ai4i")
        fetch_model(model="models/press.onnx")

    lines = findings(ours)
    assert [re.findall(r"tasks.([\w-]+)", line)[0] for line in lines] == ["fetch-model-2", "ingest"]


def test_every_address_of_a_stage_is_listed() -> None:
    """The inputs of a stage that it reads from elsewhere; a new one belongs into ADDRESSES_OF_STAGES."""
    readers = {
        path.relative_to(ROOT / "components").parts[0]
        for path in (ROOT / "components").rglob("*.py")
        if "kfp_edge.storage.fetch import" in path.read_text()
    }
    of_images = {"fetch_champion"}
    assert readers | of_images == set(ADDRESSES_OF_STAGES)
