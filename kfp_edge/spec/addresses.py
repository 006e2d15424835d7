"""Values that are addresses of data or services, where other content may be tomorrow."""

import re

#: Object stores, servers, shared file systems, databases, repositories, registries.
_ADDRESS = re.compile(
    r"(?:s3[an]?|gs|gcs|https?|ftps?|sftp|scp|ssh|git(?:\+\w+)?|file|nfs|smb|(?:web)?hdfs|abfss?|adls?|wasbs?|az|minio|oss|"
    r"cos|obs|swift|dvc|pvc|hf|lakefs|dbfs|docker|oci|mlflow-artifacts|kafka|amqps?|mqtts?|rediss?|mongodb(?:\+srv)?|"
    r"(?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|snowflake|bigquery|redshift|trino|presto|clickhouse)(?:\+\w+)?)://|"
    r"jdbc:\w+:|git@[\w.-]+:",
    re.IGNORECASE,
)
#: An address with the digest, the commit or the version of the content: that can only be what it was.
_PINNED = re.compile(
    r"@sha256:[0-9a-f]{64}$|[@#/=](?:sha256[:=])?(?:[0-9a-f]{64}|[0-9a-f]{40})(?:$|[#?&/])|[?&]versionId="
)


def find_address(value: object) -> str:
    """Return the first address in a value, its lists and mappings; empty if there is none, or each is pinned."""
    match value:
        case str() if _ADDRESS.match(value) and not _PINNED.search(value):
            return value
        case list():
            return next(filter(None, map(find_address, value)), "")
        case dict():
            return next(filter(None, map(find_address, value.values())), "")
    return ""
