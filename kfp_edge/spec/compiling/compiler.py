"""Compiling pipelines to YAML whose bytes depend on nothing but the pipeline."""

import difflib
import importlib
import importlib.util
import pkgutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_edge.errors import PipelineError, StorageError
from kfp_edge.spec.compiling.target import CompileTarget
from kfp_edge.spec.parameters.numeric_texts import quote_numeric_texts
from kfp_edge.spec.pipeline_names import version_name
from kfp_edge.storage.files import sha256_bytes, write_file
from kfp_edge.suggestions import did_you_mean

if TYPE_CHECKING:
    from kfp.compiler.compiler_utils import KubernetesManifestOptions
    from kfp.dsl.base_component import BaseComponent

#: The package with one module per pipeline. Only its name is known here: nothing in this module imports a stage.
PIPELINES_PACKAGE = "kfp_edge.pipelines"
_DIGEST_LENGTH = 12
_DEFAULT_TARGET = CompileTarget()

#: Compiles a pipeline to the text of a file.
Compile = Callable[["BaseComponent"], str]


def pipeline_names() -> list[str]:
    """Return the names of all pipelines of kfp-edge, sorted, without importing them."""
    package = importlib.util.find_spec(PIPELINES_PACKAGE)
    folders = package.submodule_search_locations if package is not None else None
    modules = (module.name for module in pkgutil.iter_modules(folders or []))
    return sorted(name for name in modules if not name.startswith("_"))


def load_pipeline(name: str) -> "BaseComponent":
    """Return a pipeline of kfp-edge by its name, which is that of its module and of its function.

    Raises:
        PipelineError: there is no pipeline of this name.
    """
    known = pipeline_names()
    if name not in known:
        hint = did_you_mean(name, known)
        raise PipelineError(f"there is no pipeline {name!r}; {hint}the pipelines are: {', '.join(known) or 'none'}.")
    pipeline = getattr(importlib.import_module(f"{PIPELINES_PACKAGE}.{name}"), name, None)
    _check_is_pipeline(pipeline, f"{name} in the module {PIPELINES_PACKAGE}.{name}")
    return pipeline


def compile_to_yaml(pipeline: "BaseComponent", target: CompileTarget = _DEFAULT_TARGET) -> str:
    """Return a pipeline (any function with `@dsl.pipeline`, ours or not) compiled to YAML.

    Raises:
        PipelineError: it is not a pipeline.
    """
    return quote_numeric_texts(target.adapt(_compile(pipeline)))


def compile_to_manifests(pipeline: "BaseComponent", target: CompileTarget = _DEFAULT_TARGET) -> str:
    """Return a pipeline as Kubernetes manifests, for a cluster whose pipelines are managed by GitOps.

    They are a `Pipeline` and a `PipelineVersion` (`pipelines.kubeflow.org/v2beta1`). A version is immutable in a
    cluster, so its name ends in a digest of the pipeline: other content is another version.

    Raises:
        PipelineError: it is not a pipeline.
    """
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    pipeline_yaml = compile_to_yaml(pipeline, target)
    name = str(pipeline.name)
    digest = sha256_bytes(pipeline_yaml.encode())[:_DIGEST_LENGTH]
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_version_name=version_name(name, digest),
        pipeline_version_display_name=digest,
        include_pipeline_manifest=True,
    )
    return quote_numeric_texts(target.adapt(_compile(pipeline, options)))


def _compile(pipeline: "BaseComponent", manifest_options: "KubernetesManifestOptions | None" = None) -> str:
    from kfp import compiler

    _check_is_pipeline(pipeline, repr(getattr(pipeline, "__name__", pipeline)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(
            pipeline,
            str(path),
            kubernetes_manifest_format=manifest_options is not None,
            kubernetes_manifest_options=manifest_options,
        )
        # KFP writes in the encoding of the locale, so it is read without naming one; we write UTF-8 everywhere
        return path.read_text()


def write_compiled(names: Iterable[str], folder: Path, compile_pipeline: Compile = compile_to_yaml) -> list[Path]:
    """Compile pipelines to `folder/<name>.yaml` and return the files; each is written completely or not at all.

    Args:
        names: The pipelines of kfp-edge to compile.
        folder: Where the files are written.
        compile_pipeline: `compile_to_yaml` or `compile_to_manifests`.

    Raises:
        PipelineError: there is no pipeline of a name.
        StorageError: a file cannot be written.
    """
    texts = {_compiled_path(name, folder): compile_pipeline(load_pipeline(name)) for name in names}
    for path, text in texts.items():
        write_file(path, text.encode())
    return list(texts)


def diff_compiled(names: Sequence[str], folder: Path, compile_pipeline: Compile = compile_to_yaml) -> str:
    """Return what `write_compiled` would change in `folder`, as a unified diff; empty when all is up to date.

    A YAML file that belongs to no pipeline is reported as well: its pipeline was removed or renamed.

    Raises:
        PipelineError: there is no pipeline of a name.
        StorageError: a file cannot be read.
    """
    diffs = [_diff(_compiled_path(name, folder), compile_pipeline(load_pipeline(name))) for name in names]
    known = {_compiled_path(name, folder) for name in pipeline_names()}
    diffs += [
        f"Only in {folder}: {path.name} (no pipeline has this name; remove the file)\n"
        for path in sorted(folder.glob("*.yaml"))
        if path not in known
    ]
    return "".join(diffs)


def _compiled_path(name: str, folder: Path) -> Path:
    return folder / f"{name}.yaml"


def _diff(path: Path, compiled: str) -> str:
    try:
        current = path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {path} ({error}); compile it again.") from error
    return "".join(
        difflib.unified_diff(
            (current or "").splitlines(keepends=True),
            compiled.splitlines(keepends=True),
            fromfile="/dev/null" if current is None else str(path),
            tofile=f"{path} (compiled now)",
        )
    )


def _check_is_pipeline(value: object, description: str) -> None:
    from kfp.dsl.base_component import BaseComponent

    if not isinstance(value, BaseComponent):
        raise PipelineError(f"{description} is not a pipeline; give it the decorator @dsl.pipeline.")
