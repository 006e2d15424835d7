"""What a kubelet gives a container from Secrets, ConfigMaps and the Pod itself: variables and folders."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fake_kubernetes.objects import Object

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)|\$\$")

#: Finds a Secret or a ConfigMap by its kind and name.
Find = Callable[[str, str], Object | None]


class MissingError(Exception):
    """A Secret, a ConfigMap or a key in one is not there; the text is the kubelet's."""


@dataclass(frozen=True)
class Mount:
    """A folder or a file of this machine at a path of a container."""

    source: Path
    path: str
    read_only: bool


def environment(container: Object, pod: Object, find: Find) -> dict[str, str]:
    """The variables of a container from `envFrom` and `env`, later ones over earlier ones.

    Raises:
        MissingError: something that is not optional is not there.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if field in source:
                data = _data(kind, source[field]["name"], source[field].get("optional", False), find)
                prefix = source.get("prefix", "")
                variables |= {prefix + name: value.decode() for name, value in data.items()}
    for variable in container.get("env", []):
        if "valueFrom" not in variable:
            variables[variable["name"]] = expanded(variable.get("value", ""), variables)
        elif (value := _value(variable["valueFrom"], pod, find)) is not None:
            variables[variable["name"]] = value
    return variables


def expanded(text: str, variables: dict[str, str]) -> str:
    """Text with $(NAME) replaced where NAME is known, and $$ by one dollar, as in commands, arguments and variables."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def write_volume(volume: Object, folder: Path, pod: Object, find: Find) -> None:
    """Make the folder of a volume and fill it; a claim for a persistent volume is an empty one.

    Raises:
        MissingError: something that is not optional is not there.
    """
    if {"emptyDir", "persistentVolumeClaim", "ephemeral"} & volume.keys():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        return
    sources = volume["projected"]["sources"] if "projected" in volume else [volume]
    files: dict[str, bytes] = {}
    for source in sources:
        files |= _files(source, pod, find)
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)


def mounts(container: Object, pod: Object, folder: Path) -> list[Mount]:
    """The volume mounts of a container, the volumes being folders in `folder`."""
    given = {"secret", "configMap", "projected", "downwardAPI"}
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    result = []
    for mount in container.get("volumeMounts", []):
        source = folder / mount["name"] / mount.get("subPath", "")
        if not source.exists():
            source.mkdir(parents=True)
        read_only = mount.get("readOnly", False) or bool(given & volumes[mount["name"]].keys())
        result.append(Mount(source, mount["mountPath"].rstrip("/"), read_only))
    return result


def _files(source: Object, pod: Object, find: Find) -> dict[str, bytes]:
    """The files of one source of a volume by path."""
    if "downwardAPI" in source:
        return {item["path"]: _field(item["fieldRef"], pod).encode() for item in source["downwardAPI"]["items"]}
    for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
        if field in source:
            chosen: dict[str, Any] = source[field]
            name = chosen.get("secretName") or chosen["name"]
            optional = chosen.get("optional", False)
            data = _data(kind, name, optional, find)
            if "items" not in chosen:
                return data
            return {item["path"]: _entry(kind, name, item["key"], data) for item in chosen["items"]}
    raise NotImplementedError(f"the fake node has no volume like this: {sorted(source)}")


def _value(source: Object, pod: Object, find: Find) -> str | None:
    if "fieldRef" in source:
        return _field(source["fieldRef"], pod)
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if field in source:
            name, entry, optional = source[field]["name"], source[field]["key"], source[field].get("optional", False)
            data = _data(kind, name, optional, find)
            if optional and entry not in data:
                return None
            return _entry(kind, name, entry, data).decode()
    raise NotImplementedError(f"the fake node has no variable from {sorted(source)}")


def _field(reference: Object, pod: Object) -> str:
    path = reference["fieldPath"]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str(pod["metadata"].get(match[1], {}).get(match[2], ""))
    if path == "status.podIP":
        return "127.0.0.1"
    part, name = path.split(".")
    return str(pod[part].get(name, ""))


def _entry(kind: str, name: str, entry: str, data: dict[str, bytes]) -> bytes:
    if entry not in data:
        raise MissingError(f"couldn't find key {entry} in {kind} {name}")
    return data[entry]


def _data(kind: str, name: str, optional: bool, find: Find) -> dict[str, bytes]:
    thing = find(kind, name)
    if thing is None:
        if optional:
            return {}
        raise MissingError(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {entry: base64.b64decode(value) for entry, value in thing.get("data", {}).items()}
    plain = {entry: value.encode() for entry, value in thing.get("data", {}).items()}
    return plain | {entry: base64.b64decode(value) for entry, value in thing.get("binaryData", {}).items()}
