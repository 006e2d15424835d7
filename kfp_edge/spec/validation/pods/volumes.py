"""Volumes and where they are mounted.

The driver names a volume after the Secret, ConfigMap or claim that it holds, and Argo merges volumes of one name, and
mounts of one path: a Secret may be mounted twice, but a Secret and a claim of one name become one volume of two kinds.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_edge.kubernetes.names import (
    describe_bad_annotation_key,
    describe_bad_label_key,
    describe_bad_label_value,
    describe_bad_object_name,
    describe_bad_volume_name,
)
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.object_names import (
    ObjectReference,
    claim_reference,
    config_map_reference,
    secret_reference,
)
from kfp_edge.spec.validation.pods.resources import find_quantity_fault
from kfp_edge.spec.validation.pods.task_pod import (
    POD_REFUSED,
    POD_WAITS,
    TASK_FAILS,
    Setting,
    TaskPod,
    quote,
    task_finding,
)

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_ALONE = "ReadWriteOncePod"
SIZE_REMEDY = "write a size, such as 5Gi"
_EMPTY_FOLDER, _EPHEMERAL = "empty folder", "ephemeral claim"
#: The volumes that Argo and KFP's launcher add to the pod of every task, all of them empty folders.
_OWN_VOLUMES = (
    *("var-run-argo", "tmp-dir-argo", "kfp-launcher", "gcs-scratch", "s3-scratch", "minio-scratch"),
    *("dot-local-scratch", "dot-cache-scratch", "dot-config-scratch"),
)
#: Where no volume can be mounted, since the programs that start the task are there.
_OWN_PATHS = ("/", "/kfp-launcher", "/var/run/argo")
_MEDIA = ("", "Memory", "HugePages")
_MEDIUM_WITH_SIZE = "HugePages-"


@dataclass(frozen=True)
class _Mount:
    """A volume in the container of a task; its name is None if only a run knows it."""

    kind: str
    name: str | None
    name_path: str
    mount_path: str
    location: str


def check_volumes(pod: TaskPod) -> Iterator[Finding]:
    """Find volumes and mounts that a pod cannot have, and those of which another one takes the place."""
    kinds: dict[str, str] = dict.fromkeys(_OWN_VOLUMES, _EMPTY_FOLDER)
    mounted: dict[str, str | None] = {}
    for mount in _mounts(pod):
        if mount.name is not None:
            yield from _check_name(mount, kinds)
        yield from _check_mount_path(mount, mounted)
    for index, claim in enumerate(pod.platform.pvc_mount):
        yield from _check_sub_path(f"{join_path(pod.platform_path, 'pvcMount')}[{index}]", claim.sub_path)
    yield from _check_ephemeral_claims(pod)
    yield from _check_empty_folders(pod)


def check_access_modes(modes: list[str], path: str, consequence: str) -> Iterator[Finding]:
    """Find access modes that a claim cannot have."""
    known = f"write some of {', '.join(ACCESS_MODES)}"
    if not modes:
        yield task_finding(path, f"has no access mode, {consequence}; {known}.")
    for index, mode in enumerate(modes):
        if mode not in ACCESS_MODES:
            yield task_finding(
                f"{path}[{index}]", f"is {quote(mode)}, which is no access mode, {consequence}; {known}."
            )
    if _ALONE in modes and set(modes) != {_ALONE}:
        yield task_finding(path, f"has {_ALONE} together with others, {consequence}; keep one of them.")


def _mounts(pod: TaskPod) -> Iterator[_Mount]:
    """Yield the mounts in the order in which the driver adds them."""
    platform, root = pod.platform, pod.platform_path
    if pod.has(Setting.KUBERNETES_VOLUMES):
        for index, claim in enumerate(platform.pvc_mount):
            path = f"{join_path(root, 'pvcMount')}[{index}]"
            yield _object_mount(claim_reference(path, claim), claim.mount_path)
        for index, secret in enumerate(platform.secret_as_volume):
            path = f"{join_path(root, 'secretAsVolume')}[{index}]"
            yield _object_mount(secret_reference(path, secret), secret.mount_path)
        for index, config_map in enumerate(platform.config_map_as_volume):
            path = f"{join_path(root, 'configMapAsVolume')}[{index}]"
            yield _object_mount(config_map_reference(path, config_map), config_map.mount_path)
    for index, ephemeral in enumerate(platform.generic_ephemeral_volume):
        path = f"{join_path(root, 'genericEphemeralVolume')}[{index}]"
        yield _Mount(_EPHEMERAL, ephemeral.volume_name, join_path(path, "volumeName"), ephemeral.mount_path, path)
    for index, folder in enumerate(platform.empty_dir_mounts):
        path = f"{join_path(root, 'emptyDirMounts')}[{index}]"
        yield _Mount(_EMPTY_FOLDER, folder.volume_name, join_path(path, "volumeName"), folder.mount_path, path)


def _object_mount(reference: ObjectReference, mount_path: str) -> _Mount:
    return _Mount(reference.kind, reference.name, reference.name_path, mount_path, reference.path)


def _check_name(mount: _Mount, kinds: dict[str, str]) -> Iterator[Finding]:
    name, path = mount.name or "", mount.name_path
    is_object = mount.kind not in (_EMPTY_FOLDER, _EPHEMERAL)
    if is_object and not name:
        yield ObjectReference(mount.kind, mount.location, path, name).missing_name()
        return
    if remedy := describe_bad_volume_name(name):
        named_after = f" (KFP names the volume after the {mount.kind})" if is_object else ""
        message = f"is {quote(name)}, which no volume can be called{named_after}, {POD_REFUSED}; {remedy}."
        yield task_finding(path, message)
        return
    other = kinds.setdefault(name, mount.kind)
    if other != mount.kind:
        whose = "KFP's own volume" if name in _OWN_VOLUMES else f"the volume of the {other}"
        message = (
            f"is {name}, as is {whose}, and KFP makes one volume of the two, which Kubernetes refuses; "
            "choose another name."
        )
        yield task_finding(path, message)


def _check_mount_path(mount: _Mount, mounted: dict[str, str | None]) -> Iterator[Finding]:
    path = join_path(mount.location, "mountPath")
    if not mount.mount_path:
        yield task_finding(path, f"is missing, {POD_REFUSED}; write the folder in which the files shall be.")
        return
    folder = posixpath.normpath(f"/{mount.mount_path}").replace("//", "/")
    if folder in _OWN_PATHS:
        message = (
            f"is {mount.mount_path}, where the programs are that start the task, {TASK_FAILS}; "
            "choose a folder of its own."
        )
        yield task_finding(path, message)
    elif mounted.get(folder, mount.name) not in (mount.name, None) and mount.name is not None:
        message = (
            f"is {mount.mount_path}, where another volume is mounted, and the task sees one of them; choose another."
        )
        yield task_finding(path, message)
    mounted.setdefault(folder, mount.name)


def _check_sub_path(path: str, sub_path: str) -> Iterator[Finding]:
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        message = (
            f"is {quote(sub_path)}, {POD_REFUSED}; write a folder of the volume, without / before it and without '..'."
        )
        yield task_finding(join_path(path, "subPath"), message)


def _check_ephemeral_claims(pod: TaskPod) -> Iterator[Finding]:
    for index, claim in enumerate(pod.platform.generic_ephemeral_volume):
        path = f"{join_path(pod.platform_path, 'genericEphemeralVolume')}[{index}]"
        yield from check_access_modes(list(claim.access_modes), join_path(path, "accessModes"), POD_REFUSED)
        if fault := find_quantity_fault(claim.size, above_zero=True):
            yield task_finding(join_path(path, "size"), f"{fault}, {TASK_FAILS}; {SIZE_REMEDY}.")
        storage_class = "" if claim.default_storage_class else claim.storage_class_name
        if storage_class and (remedy := describe_bad_object_name(storage_class)):
            message = f"is {quote(storage_class)}, and no storage class can have that name, {POD_REFUSED}; {remedy}."
            yield task_finding(join_path(path, "storageClassName"), message)
        yield from check_metadata(dict(claim.metadata.labels), dict(claim.metadata.annotations), f"{path}.metadata")


def check_metadata(labels: dict[str, str], annotations: dict[str, str], path: str) -> Iterator[Finding]:
    """Find labels and annotations that no object can have."""
    for key, value in sorted(labels.items()):
        key_path = join_path(path, "labels", key)
        if remedy := describe_bad_label_key(key):
            yield task_finding(key_path, f"has the key {quote(key)}, which no label can have, {POD_REFUSED}; {remedy}.")
        if remedy := describe_bad_label_value(value):
            message = f"has the value {quote(value)}, which no label can have, {POD_REFUSED}; {remedy}."
            yield task_finding(key_path, message)
    for key in sorted(annotations):
        if remedy := describe_bad_annotation_key(key):
            message = f"has the key {quote(key)}, which no annotation can have, {POD_REFUSED}; {remedy}."
            yield task_finding(join_path(path, "annotations", key), message)


def _check_empty_folders(pod: TaskPod) -> Iterator[Finding]:
    for index, folder in enumerate(pod.platform.empty_dir_mounts):
        path = f"{join_path(pod.platform_path, 'emptyDirMounts')}[{index}]"
        if folder.medium not in _MEDIA and not folder.medium.startswith(_MEDIUM_WITH_SIZE):
            message = f"is {quote(folder.medium)}, which no node has, {POD_WAITS}; write Memory, or leave it out."
            yield task_finding(join_path(path, "medium"), message)
        if folder.size_limit and (fault := find_quantity_fault(folder.size_limit)):
            yield task_finding(join_path(path, "sizeLimit"), f"{fault}, {TASK_FAILS}; {SIZE_REMEDY}.")
