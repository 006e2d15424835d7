"""Objects in an S3 object store: download, upload, presigned URLs, deletion.

The endpoint is `AWS_S3_ENDPOINT` (an OpenShift AI data connection) or `AWS_ENDPOINT_URL`, its CA `AWS_CA_BUNDLE`, the
credentials are those that boto3 finds.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions as aws
from boto3.exceptions import Boto3Error
from botocore.config import Config

from kfp_edge.errors import StorageError
from kfp_edge.storage.ca_certificates import check_ca_variable
from kfp_edge.storage.files import new_folder
from kfp_edge.storage.tls_errors import is_without_tls
from kfp_edge.storage.urls import download_name, url_scheme

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ATTEMPTS = 3
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_SCHEME = "s3://"
_UNREACHABLE = (aws.ReadTimeoutError, aws.ConnectionError)
#: Statuses of a conditional write that somebody else was faster with: 412, or 409 while the other one is under way.
_CHANGED_MEANWHILE = (409, 412)
#: Error codes of S3 when a request was signed for, or sent to, another region than the bucket's.
_OTHER_REGION = ("301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


def download(uri: str, folder: Path, stand_ins: Mapping[str, bytes] | None = None) -> Path:
    """Download an object, or all objects with a prefix, into `folder`, and return the path of the file or folder.

    Args:
        uri: `s3://BUCKET/KEY`, `s3://BUCKET/PREFIX` or `s3://BUCKET`.
        folder: Where the file or folder of the key's name goes; what `folder` held before is replaced.
        stand_ins: What is written in place of objects that are not downloaded, by their keys without the prefix.

    Raises:
        StorageError: there is nothing at `uri`, or the store refuses or cannot be reached.
    """
    bucket, key = _split_location(uri)
    name = download_name(key or bucket)
    # inside new_folder: some errors of botocore are an OSError too, and new_folder takes those for the file system's
    with new_folder(folder) as temporary, _translate_errors(uri, bucket):
        client = _create_client()
        if key.endswith("/") or not key or not _download_object(client, bucket, key, temporary / name):
            _download_prefix(client, uri, temporary / name, stand_ins or {})
    return folder / name


def check_exists(uri: str) -> None:
    """Check that there is an object, or an object with the prefix, without downloading it.

    Raises:
        StorageError: there is nothing at `uri`, or the store refuses or cannot be reached.
    """
    bucket, key = _split_location(uri)
    with _translate_errors(uri, bucket):
        client = _create_client()
        if key and not key.endswith("/") and _object_exists(client, bucket, key):
            return
        prefix = f"{key.rstrip('/')}/" if key else ""
        if not client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"):
            raise _nothing_error(uri)


def has_credentials() -> bool:
    """Return whether boto3 finds credentials on this machine, valid or not."""
    return boto3.Session().get_credentials() is not None


def list_keys(uri: str) -> list[str]:
    """Return the keys of all objects with the prefix `s3://BUCKET/PREFIX/`, the newest first.

    Raises:
        StorageError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, prefix = _split_location(uri)
    with _translate_errors(uri, bucket):
        pages = _create_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [(item["LastModified"], item["Key"]) for page in pages for item in page.get("Contents", [])]
    return [key for _, key in sorted(objects, key=itemgetter(0), reverse=True)]


def read(uri: str) -> bytes:
    """Return the contents of the object `s3://BUCKET/KEY`.

    Raises:
        StorageError: there is no such object, or the store refuses or cannot be reached.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket):
        return _create_client().get_object(Bucket=bucket, Key=key)["Body"].read()


def read_ends(
    uri: str, is_wanted: Callable[[str], bool], size: int, find_size: Callable[[bytes], int]
) -> dict[str, bytes]:
    """Return the last bytes of objects with a prefix, by their keys without it; of none where `uri` is an object.

    Args:
        uri: `s3://BUCKET/PREFIX` or `s3://BUCKET`.
        is_wanted: Whether the end of an object is wanted, by its key without the prefix.
        size: How many bytes are read first.
        find_size: Returns by these bytes how many are wanted.

    Raises:
        StorageError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _split_location(uri)
    with _translate_errors(uri, bucket):
        client = _create_client()
        if key and not key.endswith("/") and _object_exists(client, bucket, key):
            return {}
        prefix, sizes = _list_sizes(client, uri)
        ends = {}
        for object_key, length in sizes.items():
            name = object_key.removeprefix(prefix)
            if not length or not is_wanted(name):
                continue
            ends[name] = _read_end(client, bucket, object_key, length, size)
            if len(ends[name]) < (wanted := find_size(ends[name])) <= length:
                ends[name] = _read_end(client, bucket, object_key, length, wanted)
    return ends


def upload(file: Path, uri: str) -> None:
    """Store a file of at most 5 GiB as `s3://BUCKET/KEY`, in place of what is there, as a whole or not at all.

    Raises:
        StorageError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket), file.open("rb") as stream:
        _create_client().put_object(Bucket=bucket, Key=key, Body=stream)


def read_with_etag(uri: str) -> tuple[bytes, str] | None:
    """Return the contents of the object `s3://BUCKET/KEY` and its entity tag, None if there is no such object.

    Raises:
        StorageError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket):
        try:
            response = _create_client().get_object(Bucket=bucket, Key=key)
        except aws.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return None
            raise
        return response["Body"].read(), response["ETag"]


def write_if(uri: str, data: bytes, etag: str | None) -> bool:
    """Store `data` as `s3://BUCKET/KEY` if the object there has this entity tag, or without one if there is none.

    Of several such requests at once one succeeds ("Amazon S3 User Guide", conditional writes).

    Returns:
        Whether it was stored.

    Raises:
        StorageError: there is no such bucket, or the store refuses, cannot be reached or has no conditional writes.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket):
        client = _create_client()
        try:
            if etag is None:
                client.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            else:
                client.put_object(Bucket=bucket, Key=key, Body=data, IfMatch=etag)
        except aws.ClientError as error:
            if _status(error) == 501:
                raise StorageError(
                    f"the object store of {uri} has no conditional writes; use one that has, such as Amazon S3, Ceph "
                    "or MinIO."
                ) from error
            is_gone = etag is not None and error.response.get("Error", {}).get("Code") == "NoSuchKey"
            if is_gone or _status(error) in _CHANGED_MEANWHILE:
                return False
            raise
    return True


def presigned_url(uri: str, seconds: int) -> str:
    """Return a URL by which anyone can read the object for so many seconds; treat it as a secret.

    The object need not exist yet. The URL expires earlier if the credentials that sign it do.

    Raises:
        StorageError: there are no credentials.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket):
        return _create_client().generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )


def delete(uri: str) -> None:
    """Delete the object `s3://BUCKET/KEY`; it is no error if there is none.

    Raises:
        StorageError: there is no such bucket, or the store refuses or cannot be reached.
    """
    bucket, key = _split(uri)
    with _translate_errors(uri, bucket):
        _create_client().delete_object(Bucket=bucket, Key=key)


def _split_location(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    if not bucket:
        raise StorageError(f"{uri} names no bucket; write s3://BUCKET/KEY.")
    return bucket, key


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket or not key:
        raise StorageError(f"{uri!r} names no object; write s3://BUCKET/KEY.")
    return bucket, key


def _create_client() -> "S3Client":
    check_ca_variable("AWS_CA_BUNDLE")
    endpoint = os.environ.get("AWS_S3_ENDPOINT") or None
    if endpoint and not url_scheme(endpoint):
        endpoint = f"https://{endpoint}"
    config = Config(
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        # object stores other than Amazon's support this too
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
    )
    # a new session, since boto3's default session remembers the first credentials that it found
    return boto3.Session().client("s3", endpoint_url=endpoint, config=config)


def _object_exists(client: "S3Client", bucket: str, key: str) -> bool:
    try:
        client.head_object(Bucket=bucket, Key=key)
    except aws.ClientError as error:
        if _status(error) == 404:
            return False
        raise
    return True


def _download_object(client: "S3Client", bucket: str, key: str, target: Path) -> bool:
    """Download one object; return False when there is none with exactly this key."""
    try:
        client.download_file(bucket, key, str(target))
    except aws.ClientError as error:
        if _status(error) == 404:
            return False
        raise
    return True


def _read_end(client: "S3Client", bucket: str, key: str, length: int, size: int) -> bytes:
    first = max(length - size, 0)
    return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{length - 1}")["Body"].read()


def _list_sizes(client: "S3Client", uri: str) -> tuple[str, dict[str, int]]:
    """Return a prefix that ends with a slash, or is empty, and the size of each object that has it, by its key."""
    bucket, key = _split_location(uri)
    prefix = f"{key.rstrip('/')}/" if key else ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = (item for page in pages for item in page.get("Contents", []))
    return prefix, {item["Key"]: item["Size"] for item in objects if not item["Key"].endswith("/")}


def _download_prefix(client: "S3Client", uri: str, target: Path, stand_ins: Mapping[str, bytes]) -> None:
    bucket, _ = _split_location(uri)
    prefix, sizes = _list_sizes(client, uri)
    if not sizes:
        raise _nothing_error(uri)
    for object_key in sizes:
        name = object_key.removeprefix(prefix)
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise StorageError(
                f"the object s3://{bucket}/{object_key} has a key that leads out of its folder; rename it."
            )
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in stand_ins:
            path.write_bytes(stand_ins[name])
        else:
            client.download_file(bucket, object_key, str(path))


@contextmanager
def _translate_errors(uri: str, bucket: str) -> Iterator[None]:
    """Raise a StorageError in place of an error of boto3."""
    try:
        yield
    except aws.ClientError as error:
        raise StorageError(_client_error_message(error, uri, bucket)) from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
        raise StorageError(
            f"there are no credentials for {uri}; attach the data connection, or set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY."
        ) from error
    except aws.SSLError as error:
        if is_without_tls(error):
            raise StorageError(
                f"the object store of {uri} does not answer with TLS; check AWS_S3_ENDPOINT, whether it is http:// or "
                "another port."
            ) from error
        raise StorageError(
            f"the certificate of the object store of {uri} is not trusted; set AWS_CA_BUNDLE to a file with its CA."
        ) from error
    except (aws.IncompleteReadError, aws.ResponseStreamingError, Boto3Error) as error:
        if isinstance(getattr(error, "last_exception", None), _UNREACHABLE):
            raise _unreachable_error(uri) from error
        raise StorageError(f"the transfer of {uri} was interrupted; run again.") from error
    except (aws.HTTPClientError, aws.ConnectionError) as error:
        raise _unreachable_error(uri) from error
    except (aws.BotoCoreError, ValueError) as error:
        raise StorageError(f"cannot use {uri}: the address or AWS_S3_ENDPOINT is not valid.") from error


def _nothing_error(uri: str) -> StorageError:
    return StorageError(f"there is nothing at {uri}; check the key.")


def _unreachable_error(uri: str) -> StorageError:
    return StorageError(f"the object store of {uri} cannot be reached; check AWS_S3_ENDPOINT and the network.")


def _client_error_message(error: aws.ClientError, uri: str, bucket: str) -> str:
    code = error.response.get("Error", {}).get("Code", "no code")
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r} in the object store of {uri}; check the name."
    if code in _OTHER_REGION:
        return f"the bucket {bucket!r} is in another region ({code}); set AWS_DEFAULT_REGION to that one."
    if _status(error) == 400:  # without a reason where the request was HEAD, whose responses have no body
        return (
            f"the object store refuses {uri} ({code}); set AWS_DEFAULT_REGION to the region of the bucket, "
            "and check whether the credentials have expired."
        )
    if _status(error) in (401, 403):
        return (
            f"the object store denied access to {uri} ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
            "and their permissions."
        )
    if _status(error) == 404:
        return f"there is nothing at {uri}; check the key."
    return f"the object store refuses {uri} ({code}); try again, or ask its administrator."


def _status(error: aws.ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
