"""Where a GitOps repository of another layout names an image: a kustomization, or a value of any YAML file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ruamel.yaml.nodes import MappingNode, ScalarNode

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.gitops.images import read_image, set_image
from kfp_edge.gitops.yaml_text import Edit, Path, edit_text, find_node, format_path, get, parse_node, scalar
from kfp_edge.suggestions import did_you_mean

_KEYS = ("file", "image", "yaml_path")
_STEP = re.compile(r"""\[(?P<index>\d+)\]|\.?"(?P<quoted>[^"]+)"|\.?(?P<key>[^.\[\]"]+)""")
_SCHEME = re.compile("[a-z][a-z0-9+]*://")
_FORM = "{file: apps/press/kustomization.yaml, image: press} or {file: values.yaml, yaml_path: image.digest}"


@dataclass(frozen=True)
class FileTarget:
    """The place of an image in a file of a repository.

    Attributes:
        file: The path of the file in the repository.
        image: `name` of an entry in `images` of a kustomization; empty where `yaml_path` is given.
        yaml_path: The path of a value, as in Helm's values: a text, or a mapping with `digest`.
    """

    file: str
    image: str = ""
    yaml_path: Path = ()

    @classmethod
    def parse(cls, target: Mapping[str, object]) -> "FileTarget":
        """Parse the parameter `gitops_target`.

        Raises:
            ParameterError: it is not of this form.
        """
        for key, value in target.items():
            if key not in _KEYS:
                raise ParameterError(f"gitops_target has no {key}; {did_you_mean(key, _KEYS)}write {_FORM}.")
            if not isinstance(value, str) or not value:
                raise ParameterError(f"gitops_target has no text as {key}; write {_FORM}.")
        texts = {key: str(value) for key, value in target.items()}
        if "file" not in texts or ("image" in texts) == ("yaml_path" in texts):
            raise ParameterError(f"gitops_target needs file, and either image or yaml_path; write {_FORM}.")
        check_path(texts["file"])
        path = parse_yaml_path(texts["yaml_path"]) if "yaml_path" in texts else ()
        return cls(texts["file"], texts.get("image", ""), path)

    def edit(self, text: str, image_name: str, digest: str) -> str:
        """Return the file with this image in place of the one that it names; the same text if it names it already.

        In a kustomization, `newName` and `digest` of the entry are set. At a YAML path, a text that is a digest becomes
        the digest, any other text `NAME@DIGEST`; of a mapping, `digest` is set, and `repository`, or `registry` and
        `repository`, where it has them. A name keeps its scheme, such as the `oci://` of KServe's `storageUri`.

        Raises:
            GitError: there is no such value, or it cannot be changed without changing something else.
        """
        if self.image:
            name = read_image(text, self.image, file=self.file).new_name
            return set_image(text, self.image, f"{_scheme_of(name)}{image_name}", digest, file=self.file)
        node = find_node(parse_node(text, self.file), self.yaml_path)
        if isinstance(node, MappingNode):
            return edit_text(text, self._mapping_edits(node, image_name, digest), file=self.file)
        is_digest = isinstance(node, ScalarNode) and node.value.startswith("sha256:")
        value = digest if is_digest else f"{_scheme_of(scalar(node) or '')}{image_name}@{digest}"
        return edit_text(text, [Edit(self.yaml_path, value)], file=self.file)

    def read(self, text: str) -> tuple[str, str]:
        """Return name and digest of the image that a file names; the name is empty where only the digest stands there.

        Raises:
            GitError: there is no such value, or it names no image by digest.
        """
        if self.image:
            image = read_image(text, self.image, file=self.file)
            return image.new_name.removeprefix(_scheme_of(image.new_name)), image.digest
        node = find_node(parse_node(text, self.file), self.yaml_path)
        if isinstance(node, MappingNode):
            registry, repository, digest = (
                scalar(get(node, key)) or "" for key in ("registry", "repository", "digest")
            )
            name = "/".join(filter(None, (registry, repository)))
        else:
            name, _, digest = (scalar(node) or "").rpartition("@")
        if not digest.startswith("sha256:"):
            raise GitError(
                f"{self.file} has no image by digest at {format_path(self.yaml_path)}; commit a release first."
            )
        return name.removeprefix(_scheme_of(name)), digest

    def _mapping_edits(self, node: MappingNode, image_name: str, digest: str) -> list[Edit]:
        if get(node, "digest") is None:
            raise GitError(
                f"{self.file} has no digest at {format_path(self.yaml_path)}, which is a mapping; add `digest: ...` "
                "there, or let yaml_path name the text with the image."
            )
        values, repository = {"digest": digest}, get(node, "repository")
        if get(node, "registry") is not None:
            values["registry"], _, values["repository"] = image_name.partition("/")
        elif repository is not None:
            values["repository"] = f"{_scheme_of(scalar(repository) or '')}{image_name}"
        return [Edit((*self.yaml_path, key), value) for key, value in values.items()]


def _scheme_of(name: str) -> str:
    """Return what stands before the name of an image, such as `oci://` or `oci+native://`; mostly nothing."""
    match = _SCHEME.match(name)
    return match[0] if match else ""


def check_path(path: str) -> None:
    """Refuse a path that is none of a file inside a repository.

    Raises:
        ParameterError: it is absolute, leaves the repository or is inside `.git`.
    """
    parts = PurePosixPath(path).parts
    if path != "/".join(parts) or not path.isprintable() or "\\" in path or {"..", ".git", "/"} & set(parts):
        raise ParameterError(
            f"gitops_target cannot have the file {path!r}; give its path from the root of the repository, such as "
            "apps/press/kustomization.yaml."
        )


def parse_yaml_path(text: str) -> Path:
    """Parse a path such as `image.digest`, `images[0].digest` or `pods."press.main".image`.

    Raises:
        ParameterError: it is no such path.
    """
    path: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        is_first_with_dot = position == 0 and text.startswith(".")
        is_key_without_dot = position > 0 and match is not None and match["index"] is None and match[0][0] != "."
        if match is None or is_first_with_dot or is_key_without_dot:
            raise ParameterError(
                f"yaml_path {text!r} cannot be read at {text[position:]!r}; write keys with dots between them, such as "
                'image.digest, images[0].digest or pods."press.main".image.'
            )
        path.append(int(match["index"]) if match["index"] is not None else match["key"] or match["quoted"])
        position = match.end()
    return tuple(path)
