"""Runs in the base of the image: finds the modules that the server loads at start, and compiles them.

Without them a container that may write nowhere compiles every module at each start, which takes four times as long.
Only what is loaded is compiled; the rest would add bytes for nothing. Bytecode does not depend on the processor:
the modules of an image for another processor are compiled here too, by the same version of Python.

    precompile.py list                            prints the paths of the modules, one on each line
    precompile.py compile LIST PYC [FROM TO]...   compiles them; a path that begins with TO is read at FROM
"""

import importlib
import importlib.util
import pkgutil
import py_compile
import sys
from collections.abc import Sequence
from pathlib import Path

#: What nothing imports by name until a request comes or the command line is read.
_LATE = ("encodings.idna", "runpy")


def find_loaded() -> list[str]:
    """Import what the server imports and return the source files of all modules, sorted."""
    import kfp_edge_serving

    for module in pkgutil.walk_packages(kfp_edge_serving.__path__, "kfp_edge_serving."):
        importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    return sorted(file for file in files if file.endswith(".py") and file != __file__)


def compile_all(modules: Sequence[str], target: str, moved: Sequence[tuple[str, str]]) -> None:
    """Compile every module, each in the same order, so that the bytes are the same each time.

    Args:
        modules: Their paths in the image.
        target: The folder that PYTHONPYCACHEPREFIX will name.
        moved: Folders of the image's files: where each is now, and its path in the image.
    """
    sys.pycache_prefix = target
    for path in modules:
        source = path
        for source_folder, image_folder in moved:
            if path.startswith(image_folder):
                source = source_folder + path.removeprefix(image_folder)
                break
        # a module of one processor only, such as sysconfig's data, is not there for another
        if Path(source).is_file():
            # the files of an image never change, so no source has to be compared when a module is loaded
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compiled = importlib.util.cache_from_source(path)
            py_compile.compile(source, cfile=compiled, dfile=path, doraise=True, invalidation_mode=mode)


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1] == "list":
        print("\n".join(find_loaded()))
    else:
        listed, target, *moved = sys.argv[2:]
        compile_all(Path(listed).read_text().split(), target, list(zip(moved[::2], moved[1::2], strict=True)))


if __name__ == "__main__":
    main()
