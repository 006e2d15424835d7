"""Whether a registry accepts images, asked by starting an upload that is cancelled at once.

That is how the OCI Distribution Specification lets a client ask ("Pushing blobs").
"""

import os
from http import HTTPStatus
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry_session import describe_status, open_session


def check_push_access(repository: ImageRepository) -> None:
    """Check that images can be pushed to a repository, or written to a layout folder; nothing is left there.

    Raises:
        ImageError: the registry refuses, cannot be reached or is not trusted, or the folder cannot be written to.
    """
    if repository.host is None:
        _check_folder(Path(repository.path))
        return
    with open_session(repository) as session:
        response = session.request("POST", "blobs/uploads/")
        if response.status_code != HTTPStatus.ACCEPTED:
            raise ImageError(
                f"{repository} accepts no images ({describe_status(response)}); "
                "create the repository in the registry, or check registry and model_name."
            )
        if location := response.headers.get("Location"):
            session.cancel_upload(location)


def _check_folder(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ImageError(f"cannot write images to {folder}: {existing} is not a folder; name another one in registry.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ImageError(f"cannot write images to {folder}: {existing} is not writable; name another one in registry.")
