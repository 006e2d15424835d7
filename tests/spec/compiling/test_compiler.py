"""Compiling gives the same bytes everywhere, and `kfp-edge compile --check` finds what is out of date."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.compiling import compiler
from support.paths import ROOT

HELLO = '''
from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def greet(name: str, times: int) -> NamedTuple("Outputs", [("text", str), ("length", int)]):
    """Greet."""
    return ("hello " + name) * times, len(name)


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def show(text: str):
    print(text)


@dsl.pipeline(name="hello", description="Grüße.")
def hello(name: str = "edge", times: int = 2):
    """Say hello."""
    greeting = greet(name=name, times=times)
    with dsl.If(greeting.outputs["length"] > 3):
        show(text=greeting.outputs["text"])
'''
ALL_PIPELINES = """
import sys
from pathlib import Path
from kfp_edge.spec.compiling import compiler
compiler.PIPELINES_PACKAGE = sys.argv[2]
compiler.write_compiled(compiler.pipeline_names(), Path(sys.argv[1]))
"""
OUR_PACKAGE = compiler.PIPELINES_PACKAGE


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one pipeline, `hello`, and a private module; its name is its own in every test."""
    folder = tmp_path / f"pipelines_of_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    folder.joinpath("__init__.py").touch()
    folder.joinpath("_shared.py").touch()
    folder.joinpath("hello.py").write_text(HELLO, encoding="utf-8")
    return folder


@pytest.fixture
def registry(package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, in place of our own pipelines."""
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(compiler, "PIPELINES_PACKAGE", package.name)
    return package


def run(*args: str | Path, cwd: Path, **env: str) -> None:
    done = subprocess.run(
        [str(arg) for arg in args], cwd=cwd, env=os.environ | env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.yaml")}


def test_pipeline_names_are_those_of_the_public_modules(registry: Path) -> None:
    assert compiler.pipeline_names() == ["hello"]


def test_our_pipelines_are_found_without_importing_them() -> None:
    folder = ROOT / "pipelines"
    assert compiler.pipeline_names() == sorted(path.stem for path in folder.glob("[!_]*.py"))


def test_an_unknown_name_is_reported_with_a_similar_one_and_all_names(registry: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"no pipeline 'helo'; did you mean hello\? the pipelines are: hello\."):
        compiler.load_pipeline("helo")


def test_a_module_without_its_pipeline_is_reported(registry: Path) -> None:
    registry.joinpath("empty.py").touch()
    with pytest.raises(KfpEdgeError, match=r"empty in the module .*\.empty is not a pipeline"):
        compiler.load_pipeline("empty")


def test_a_plain_function_is_not_compiled() -> None:
    with pytest.raises(KfpEdgeError, match=r"'contents' is not a pipeline; give it the decorator @dsl\.pipeline"):
        compiler.compile_to_yaml(contents)


def compile_in_new_process(package: str, tmp_path: Path, search: Path) -> dict[str, bytes]:
    """Compile a package's pipelines in a process with another folder, locale and hash seed than this one."""
    folder, output = tmp_path / "elsewhere", tmp_path / "output"
    folder.mkdir()
    program = (sys.executable, "-c", ALL_PIPELINES, output, package)
    run(*program, cwd=folder, PYTHONPATH=str(search), PYTHONHASHSEED="1", LC_ALL="C")
    return contents(output)


def compile_in_this_process(tmp_path: Path) -> dict[str, bytes]:
    compiler.write_compiled(compiler.pipeline_names(), tmp_path / "here")
    return contents(tmp_path / "here")


def test_the_bytes_are_the_same_in_every_process_and_folder(registry: Path, tmp_path: Path) -> None:
    compiled = compile_in_new_process(registry.name, tmp_path, registry.parent)
    assert list(compiled) == ["hello.yaml"]
    assert compiled == compile_in_this_process(tmp_path)


def test_the_bytes_of_our_pipelines_are_the_same_too(tmp_path: Path) -> None:
    compiled = compile_in_new_process(OUR_PACKAGE, tmp_path, tmp_path)
    assert sorted(compiled) == [f"{name}.yaml" for name in compiler.pipeline_names()]
    assert compiled == compile_in_this_process(tmp_path)


def test_kfp_s_own_compiler_writes_the_same_document(registry: Path, tmp_path: Path) -> None:
    output = tmp_path / "by-kfp.yaml"
    kfp = Path(sys.executable).with_name("kfp")
    run(kfp, "dsl", "compile", "--py", registry / "hello.py", "--output", output, cwd=tmp_path)
    assert output.read_text(encoding="utf-8") == compiler.compile_to_yaml(compiler.load_pipeline("hello"))


@pytest.mark.parametrize("name", compiler.pipeline_names())
def test_kfp_dsl_compile_works_on_our_pipelines(name: str, tmp_path: Path) -> None:
    source = ROOT / "pipelines" / f"{name}.py"
    output = tmp_path / "by-kfp.yaml"
    run(Path(sys.executable).with_name("kfp"), "dsl", "compile", "--py", source, "--output", output, cwd=tmp_path)
    assert output.read_text(encoding="utf-8") == compiler.compile_to_yaml(compiler.load_pipeline(name))


def test_compile_writes_one_file_per_pipeline(registry: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compile", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert list(contents(tmp_path / "out")) == ["hello.yaml"]


def test_nothing_is_written_when_one_name_is_unknown(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="no pipeline 'bye'"):
        compiler.write_compiled(["hello", "bye"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_check_accepts_files_that_are_up_to_date(registry: Path, tmp_path: Path) -> None:
    compiler.write_compiled(["hello"], tmp_path)
    assert compiler.diff_compiled(["hello"], tmp_path) == ""
    result = CliRunner().invoke(app, ["compile", "--check", "--output", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (0, "")


def test_check_fails_with_the_diff_of_a_stale_file_and_leaves_it(registry: Path, tmp_path: Path) -> None:
    (file,) = compiler.write_compiled(["hello"], tmp_path)
    stale = file.read_text(encoding="utf-8").replace("defaultValue: edge", "defaultValue: cloud")
    file.write_text(stale, encoding="utf-8")
    result = CliRunner().invoke(app, ["compile", "--check", "--output", str(tmp_path)])
    assert result.exit_code == 1
    changes = [line for line in result.stdout.splitlines() if line.startswith(("- ", "+ "))]
    assert changes == ["-        defaultValue: cloud", "+        defaultValue: edge"]
    assert "run `kfp-edge compile`" in result.stderr
    assert file.read_text(encoding="utf-8") == stale


def test_check_reports_a_missing_file(registry: Path, tmp_path: Path) -> None:
    diff = compiler.diff_compiled(["hello"], tmp_path / "compiled")
    assert diff.startswith("--- /dev/null\n")
    assert "+schemaVersion: 2.1.0\n" in diff


def test_check_reports_a_file_without_a_pipeline(registry: Path, tmp_path: Path) -> None:
    compiler.write_compiled(["hello"], tmp_path)
    (tmp_path / "old.yaml").write_text("left over")
    assert "old.yaml (no pipeline has this name; remove the file)" in compiler.diff_compiled(["hello"], tmp_path)
