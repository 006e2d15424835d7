"""A model's image in a ring: where it is, and the files that change when the ring gets another one."""

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.contracts import Fleet, Serving, Site
from kfp_edge.fleet.sites.edits import assign_model
from kfp_edge.fleet.sites.files import IMAGE_VOLUME
from kfp_edge.fleet.sites.sites import find_sites
from kfp_edge.gitops.images import Image, read_image, read_images, set_image
from kfp_edge.gitops.layout import MODELS, model_base, ring_kustomization
from kfp_edge.gitops.template_files import Part, render_part
from kfp_edge.gitops.tree import Tree
from kfp_edge.suggestions import did_you_mean


def select_ring(fleet: Fleet, ring: str) -> str:
    """Return a ring of the fleet: the first one where none is named.

    Raises:
        ParameterError: there is no such ring.
    """
    if ring and ring not in fleet.ring_names:
        hint = did_you_mean(ring, fleet.ring_names)
        raise ParameterError(
            f"fleet.yaml has no ring {ring}; {hint}name one of {', '.join(fleet.ring_names)}, or add it there."
        )
    return ring or fleet.ring_names[0]


def read_ring_image(tree: Tree, ring: str, model: str) -> Image | None:
    """Return the image of a model in a ring, with its name for registries; None if the ring has none.

    Raises:
        GitError: the file of the ring cannot be read, or does not name the image.
    """
    return parse_ring_image(tree.read(ring_kustomization(ring, model)), ring, model)


def parse_ring_image(data: bytes | None, ring: str, model: str) -> Image | None:
    """Return the image of a model in a ring, given the contents of its file; None if there is no file.

    Raises:
        GitError: the file cannot be read, or does not name the image.
    """
    path = ring_kustomization(ring, model)
    text = _decode(data, path)
    if text is None:
        return None
    image = read_image(text, _entry_name(text, model, path), file=path)
    return Image(model, image.new_name.removeprefix(IMAGE_VOLUME), image.digest)


def is_mounted(tree: Tree, ring: str, model: str) -> bool:
    """Whether KServe mounts the image of a model that a ring has, in place of a container that runs it.

    Raises:
        GitError: the file of the ring cannot be read.
    """
    path = ring_kustomization(ring, model)
    text = _read_text(tree, path)
    return text is not None and _entry_name(text, model, path).startswith(IMAGE_VOLUME)


def set_ring_image(tree: Tree, fleet: Fleet, ring: str, model: str, image_name: str, digest: str) -> dict[str, bytes]:
    """Return the files that change when a ring gets an image: one line of one file, after the first time.

    A model that is new to the ring gets its files from the template, and is added to the sites of the ring that have no
    model yet.

    Args:
        tree: The files that are there.
        fleet: The contents of `fleet.yaml`.
        ring: The name of a ring.
        model: The name of the model.
        image_name: `HOST[:PORT]/REPO`, without tag or digest.
        digest: `sha256:` and 64 hex digits.

    Raises:
        GitError: a file cannot be read, or edited without changing something else.
    """
    path = ring_kustomization(ring, model)
    text = _read_text(tree, path)
    if text is not None:
        entry = _entry_name(text, model, path)
        scheme = IMAGE_VOLUME if entry.startswith(IMAGE_VOLUME) else ""
        return {path: set_image(text, entry, f"{scheme}{image_name}", digest, file=path).encode()}
    files = _new_files(tree, fleet, ring, model, image_name, digest)
    new_name = read_images(files[path].decode(), file=path)[0].new_name
    for site in find_sites(tree, ring).sites:
        if not site.models:
            files |= assign_model(tree, site, model, {model: new_name})
    return files


def ring_models(tree: Tree, ring: str) -> list[str]:
    """Return the models that a ring has."""
    prefix = f"rings/{ring}/"
    suffix = "/kustomization.yaml"
    files = tree.list_files(prefix.rstrip("/"))
    names = (path.removeprefix(prefix).removesuffix(suffix) for path in files if path.endswith(suffix))
    return sorted(name for name in names if "/" not in name)


def read_new_name(tree: Tree, ring: str, model: str) -> str:
    """Return `newName` of a model in the file of a ring, with the scheme of an image volume; empty if it has none."""
    path = ring_kustomization(ring, model)
    entries = read_images((tree.read(path) or b"").decode(), file=path)
    return next((entry.new_name for entry in entries if entry.name in (model, f"{IMAGE_VOLUME}{model}")), "")


def runs_model(site: Site, model: str) -> bool:
    """Whether a site runs a model."""
    return model in site.models


def _new_files(tree: Tree, fleet: Fleet, ring: str, model: str, image_name: str, digest: str) -> dict[str, bytes]:
    has_base = tree.read(model_base(model)) is not None
    is_kserve = fleet.serving == Serving.KSERVE
    if has_base:
        is_kserve = f"{MODELS}/{model}/base/inferenceservice.yaml" in tree.list_files(f"{MODELS}/{model}/base")
    scheme = IMAGE_VOLUME if is_kserve else ""
    values = {
        "model": model,
        "ring": ring,
        "image": f"{scheme}{model}",
        "image_name": f"{scheme}{image_name}",
        "digest": digest,
    }
    rendered = render_part(Part.KSERVE if is_kserve else Part.DEPLOYMENT, values)
    return {
        path: data
        for path, data in rendered.items()
        if not (has_base and path.startswith(f"{MODELS}/")) and tree.read(path) is None
    }


def _entry_name(text: str, model: str, path: str) -> str:
    """Return the `name` of a model's image in the file of a ring: the model, or an image volume of that name."""
    names = [image.name for image in read_images(text, file=path)]
    volume = f"{IMAGE_VOLUME}{model}"
    return volume if volume in names and model not in names else model


def _read_text(tree: Tree, path: str) -> str | None:
    return _decode(tree.read(path), path)


def _decode(data: bytes | None, path: str) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        raise GitError(f"{path} is not UTF-8 text.") from error
