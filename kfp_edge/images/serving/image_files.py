"""The files of the image above its base: dependencies, compiled modules and the server."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import kfp_edge_serving
from kfp_edge.images.buildah import Buildah
from kfp_edge.images.layout import Layer, Layout
from kfp_edge.images.platforms import Platform
from kfp_edge.images.serving import dependencies
from kfp_edge.images.serving.bases import Base

HERE = Path(__file__).parent
SERVER_PACKAGE = Path(kfp_edge_serving.__file__).parent

#: Where they lie in the image.
LIB = "/opt/kfp-edge/lib"
SERVER = "/opt/kfp-edge/server"
PYC = "/opt/kfp-edge/pyc"

_WORK = "/kfp-edge-build"
_FOREIGN = "/kfp-edge-foreign"
_PRECOMPILE = "precompile.py"
_ABOUT = (
    "import json, sys, sysconfig; print(json.dumps(['%d.%d' % sys.version_info[:2], sysconfig.get_path('stdlib')]))"
)


@dataclass(frozen=True)
class ServerFiles:
    """The files for one platform, in folders named as those in the image."""

    folder: Path

    def add_layers(self, layout: Layout) -> list[tuple[Layer, str]]:
        """Add the layers to a layout, those that change most seldom first; return each and what it holds."""
        lib, pyc, server, server_pyc = (self.folder / name for name in ("lib", "pyc", "server", "server-pyc"))
        return [
            (layout.add_tree((lib, LIB)), "Python dependencies"),
            (layout.add_tree((pyc, PYC)), "compiled modules of Python and the dependencies"),
            (layout.add_tree((server, SERVER), (server_pyc, PYC + SERVER)), "the server"),
        ]


def server_files() -> list[Path]:
    """Return the modules of the server, relative to its package."""
    return sorted(path.relative_to(SERVER_PACKAGE) for path in SERVER_PACKAGE.rglob("*.py"))


class BytecodeCompiler:
    """The base for this host's processor, in which its Python compiles for every platform."""

    def __init__(self, buildah: Buildah, base: Base, folder: Path) -> None:
        """Start the base; `folder` is a new one for what is made here."""
        folder.mkdir()
        shutil.copyfile(HERE / _PRECOMPILE, folder / _PRECOMPILE)
        self._buildah = buildah
        self._folder = folder
        self._base = base
        self._container = base.start(buildah)
        self._mounts = [f"--volume={folder}:{_WORK}"]
        self.python, self._stdlib = json.loads(self._run("-c", _ABOUT))

    def install(self, platform: Platform) -> ServerFiles:
        """Install dependencies and server for a platform.

        Raises:
            ImageError: a dependency cannot be fetched.
        """
        folder = self._folder / platform.architecture
        dependencies.install(folder / "lib", self.python, platform.machine)
        server = folder / "server/kfp_edge_serving"
        for path in server_files():
            (server / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SERVER_PACKAGE / path, server / path)
        return ServerFiles(folder)

    def look(self, program: ServerFiles) -> None:
        """Find out what has to be compiled, by importing the program for this host's processor."""
        self._mounts += [
            f"--volume={program.folder / 'lib'}:{LIB}:ro",
            f"--volume={program.folder / 'server'}:{SERVER}:ro",
        ]
        (self._folder / "modules").write_text(self._run(f"{_WORK}/{_PRECOMPILE}", "list"))

    def compile(self, program: ServerFiles, base: Base) -> None:
        """Compile the modules of a program and of the base below it."""
        place = f"{_WORK}/{program.folder.name}"
        moved: list[str] = []
        if base is not self._base:
            stdlib = f"{_FOREIGN}/{program.folder.name}"
            base.copy(self._buildah, self._stdlib, self._container, stdlib)
            moved = [f"{stdlib}/", f"{self._stdlib}/", f"{place}/lib/", f"{LIB}/", f"{place}/server/", f"{SERVER}/"]
        self._run(f"{_WORK}/{_PRECOMPILE}", "compile", f"{_WORK}/modules", f"{place}/pyc", *moved)
        (program.folder / f"pyc{SERVER}").rename(program.folder / "server-pyc")

    def _run(self, *args: str) -> str:
        # a hash of its own for each process would give bytes of their own
        settings = {"PYTHONHASHSEED": "0", "PYTHONPATH": f"{SERVER}:{LIB}", "ORT_DISABLE_TELEMETRY": "1"}
        flags = [*(f"--env={name}={value}" for name, value in settings.items()), *self._mounts]
        return self._buildah.run(self._container, "python3", *args, flags=flags)
