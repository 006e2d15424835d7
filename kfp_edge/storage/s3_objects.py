"""Keeping a file in an S3 object store for a while: upload, a link that expires, deletion.

The store is reached as `kfp_edge.storage.fetch` says.
"""

from pathlib import Path

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.fetch import s3_client, s3_errors

_ADDRESS = "s3://"


def upload(file: Path, uri: str) -> None:
    """Put a file (of at most 5 GiB) at `s3://BUCKET/KEY`; what was there is replaced, as a whole or not at all.

    Raises:
        KfpEdgeError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _place(uri)
    with s3_errors(uri, bucket), file.open("rb") as stream:
        s3_client().put_object(Bucket=bucket, Key=key, Body=stream)


def presigned_url(uri: str, seconds: int) -> str:
    """Return an address that gives the object to whoever has it, for so many seconds; it is a secret.

    It may be made before the object is there. It ends earlier when the credentials that sign it do.

    Raises:
        KfpEdgeError: there are no credentials.
    """
    bucket, key = _place(uri)
    with s3_errors(uri, bucket):
        return s3_client().generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )


def delete(uri: str) -> None:
    """Delete the object at `s3://BUCKET/KEY`; it may be gone already.

    Raises:
        KfpEdgeError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _place(uri)
    with s3_errors(uri, bucket):
        s3_client().delete_object(Bucket=bucket, Key=key)


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix(_ADDRESS).partition("/")
    if not uri.startswith(_ADDRESS) or not bucket or not key:
        raise KfpEdgeError(f"{uri!r} names no object; write s3://BUCKET/KEY.")
    return bucket, key
