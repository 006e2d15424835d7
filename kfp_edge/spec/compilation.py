"""Compiling pipelines to YAML whose bytes depend on nothing but the pipeline."""

import difflib
import importlib
import importlib.util
import pkgutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.files import sha256_bytes, write_file

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

#: The package that holds one module a pipeline. It is known by name only: nothing here imports a stage.
PACKAGE = "kfp_edge.pipelines"
_DIGEST_LENGTH = 12

#: What makes the text of a file from a pipeline.
Render = Callable[["BaseComponent"], str]


def names() -> list[str]:
    """Return the names of all pipelines, sorted; none of them is imported for it."""
    package = importlib.util.find_spec(PACKAGE)
    folders = package.submodule_search_locations if package is not None else None
    modules = (module.name for module in pkgutil.iter_modules(folders or []))
    return sorted(name for name in modules if not name.startswith("_"))


def load(name: str) -> "BaseComponent":
    """Return a pipeline by its name, which is its module's and its function's.

    Raises:
        KfpEdgeError: there is no pipeline of this name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KfpEdgeError(f"there is no pipeline {name!r}; {hint}the pipelines are: {', '.join(known) or 'none'}.")
    pipeline = getattr(importlib.import_module(f"{PACKAGE}.{name}"), name, None)
    _must_be_pipeline(pipeline, f"{name} in the module {PACKAGE}.{name}")
    return pipeline


def compile_text(pipeline: "BaseComponent") -> str:
    """Return a pipeline (any function with `@dsl.pipeline`, ours or not) compiled to YAML.

    Raises:
        KfpEdgeError: it is not a pipeline.
    """
    return _compile(pipeline)


def manifests_text(pipeline: "BaseComponent") -> str:
    """Return a pipeline as Kubernetes manifests, for a cluster that keeps its pipelines by GitOps.

    They are a `Pipeline` and a `PipelineVersion` (`pipelines.kubeflow.org/v2beta1`). A version cannot be changed in a
    cluster, so its name ends in a digest of the pipeline: other content is another version.

    Raises:
        KfpEdgeError: it is not a pipeline.
    """
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    plain = _compile(pipeline)
    name = str(pipeline.name)
    digest = sha256_bytes(plain.encode())[:_DIGEST_LENGTH]
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_version_name=f"{name}-{digest}",
        pipeline_version_display_name=digest,
        include_pipeline_manifest=True,
    )
    return _compile(pipeline, kubernetes_manifest_format=True, kubernetes_manifest_options=options)


def _compile(pipeline: "BaseComponent", **options: Any) -> str:
    from kfp import compiler

    _must_be_pipeline(pipeline, repr(getattr(pipeline, "__name__", pipeline)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(pipeline, str(path), **options)
        # KFP writes in the encoding of the locale, so it is read without naming one; we write UTF-8 everywhere
        return path.read_text()


def write(pipelines: Iterable[str], folder: Path, render: Render = compile_text) -> list[Path]:
    """Compile pipelines to `folder/<name>.yaml` and return the files; each is written whole or not at all.

    `render` is `compile_text` or `manifests_text`.

    Raises:
        KfpEdgeError: there is no pipeline of a name, or the file system refuses.
    """
    texts = {_path(name, folder): render(load(name)) for name in pipelines}
    for path, text in texts.items():
        write_file(path, text.encode())
    return list(texts)


def check(pipelines: Sequence[str], folder: Path, render: Render = compile_text) -> str:
    """Return what `write` would change in `folder`, as a unified diff; empty when all is up to date.

    A YAML file of no pipeline is told as well, because it is one that was removed or renamed.

    Raises:
        KfpEdgeError: there is no pipeline of a name, or a file cannot be read.
    """
    differences = [_difference(_path(name, folder), render(load(name))) for name in pipelines]
    known = {_path(name, folder) for name in names()}
    differences += [
        f"Only in {folder}: {path.name} (no pipeline has this name; remove the file)\n"
        for path in sorted(folder.glob("*.yaml"))
        if path not in known
    ]
    return "".join(differences)


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}.yaml"


def _difference(path: Path, wanted: str) -> str:
    try:
        found = path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise KfpEdgeError(f"cannot read {path} ({error}); compile it again.") from error
    return "".join(
        difflib.unified_diff(
            (found or "").splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            fromfile="/dev/null" if found is None else str(path),
            tofile=f"{path} (compiled now)",
        )
    )


def _must_be_pipeline(value: object, what: str) -> None:
    from kfp.dsl.base_component import BaseComponent

    if not isinstance(value, BaseComponent):
        raise KfpEdgeError(f"{what} is not a pipeline; give it the decorator @dsl.pipeline.")
