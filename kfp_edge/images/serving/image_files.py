"""The files of the image above its base: dependencies, compiled modules and the server."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import kfp_edge_serving
from kfp_edge.images.bases import Base
from kfp_edge.images.oci.layer_writer import Layer, LayerWriter
from kfp_edge.images.platforms import Platform
from kfp_edge.images.serving.dependencies import install_dependencies
from kfp_edge.images.tools.buildah import Buildah

SERVER_PACKAGE = Path(kfp_edge_serving.__file__).parent

#: Their folders in the image.
LIB = "/opt/kfp-edge/lib"
SERVER = "/opt/kfp-edge/server"
PYC = "/opt/kfp-edge/pyc"

_WORK = "/kfp-edge-build"
_FOREIGN = "/kfp-edge-foreign"
_PRECOMPILE = Path(__file__).with_name("precompile.py")
_DESCRIBE_PYTHON = (
    "import json, sys, sysconfig; print(json.dumps(['%d.%d' % sys.version_info[:2], sysconfig.get_path('stdlib')]))"
)


@dataclass(frozen=True)
class ServerFiles:
    """The files for one platform, in folders named as those in the image."""

    folder: Path

    def add_layers(self, layers: LayerWriter) -> list[tuple[Layer, str]]:
        """Add the layers, those that change least often first; return each and what it holds."""
        lib, pyc, server, server_pyc = (self.folder / name for name in ("lib", "pyc", "server", "server-pyc"))
        return [
            (layers.add_trees((lib, LIB)), "Python dependencies"),
            (layers.add_trees((pyc, PYC)), "compiled modules of Python and the dependencies"),
            (layers.add_trees((server, SERVER), (server_pyc, PYC + SERVER)), "the server"),
        ]


def list_server_files() -> list[Path]:
    """Return the modules of the server, relative to its package."""
    return sorted(path.relative_to(SERVER_PACKAGE) for path in SERVER_PACKAGE.rglob("*.py"))


class BytecodeCompiler:
    """The base for this host's processor, in which its Python compiles for every platform."""

    def __init__(self, buildah: Buildah, base: Base, folder: Path) -> None:
        """Start the base; `folder` is a new one for what is installed and compiled."""
        folder.mkdir()
        shutil.copyfile(_PRECOMPILE, folder / _PRECOMPILE.name)
        self._buildah = buildah
        self._folder = folder
        self._base = base
        self._container = base.start(buildah)
        self._mounts = [f"--volume={folder}:{_WORK}"]
        self.python, self._stdlib = json.loads(self._run("-c", _DESCRIBE_PYTHON))

    def install(self, platform: Platform) -> ServerFiles:
        """Install dependencies and server for a platform.

        Raises:
            ImageError: a dependency cannot be fetched.
        """
        folder = self._folder / platform.architecture
        install_dependencies(folder / "lib", self.python, platform)
        server = folder / "server/kfp_edge_serving"
        for path in list_server_files():
            (server / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SERVER_PACKAGE / path, server / path)
        return ServerFiles(folder)

    def find_modules(self, files: ServerFiles) -> None:
        """Find the modules that have to be compiled, by importing the server for this host's processor."""
        self._mounts += [
            f"--volume={files.folder / 'lib'}:{LIB}:ro",
            f"--volume={files.folder / 'server'}:{SERVER}:ro",
        ]
        (self._folder / "modules").write_text(self._run(f"{_WORK}/{_PRECOMPILE.name}", "list"))

    def compile(self, files: ServerFiles, base: Base) -> None:
        """Compile the modules of the server, its dependencies and the base below it."""
        installed = f"{_WORK}/{files.folder.name}"
        sources: list[str] = []
        if base is not self._base:
            stdlib = f"{_FOREIGN}/{files.folder.name}"
            base.copy(self._buildah, self._stdlib, self._container, stdlib)
            pairs = ((stdlib, self._stdlib), (f"{installed}/lib", LIB), (f"{installed}/server", SERVER))
            sources = [f"{folder}/" for pair in pairs for folder in pair]
        self._run(f"{_WORK}/{_PRECOMPILE.name}", "compile", f"{_WORK}/modules", f"{installed}/pyc", *sources)
        (files.folder / f"pyc{SERVER}").rename(files.folder / "server-pyc")

    def _run(self, *args: str) -> str:
        # with hashes that differ from process to process, the bytecode would too
        variables = {"PYTHONHASHSEED": "0", "PYTHONPATH": f"{SERVER}:{LIB}", "ORT_DISABLE_TELEMETRY": "1"}
        flags = [*(f"--env={name}={value}" for name, value in variables.items()), *self._mounts]
        return self._buildah.run(self._container, "python3", *args, flags=flags)
