"""Where the API server of Data Science Pipelines is, and what opens it: found out from the cluster, or given."""

import atexit
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from kfp_edge.client.kfp_api import Endpoint
from kfp_edge.cluster import Cluster, in_pod
from kfp_edge.errors import KfpEdgeError

#: The environment variable with a bearer token; it goes before a service account's and a kubeconfig's.
TOKEN = "KFP_EDGE_TOKEN"
#: Beside a pod's `ca.crt`: the CA that signs the certificates of services inside an OpenShift cluster.
_SERVICE_CA = "service-ca.crt"
_KIND = "DataSciencePipelinesApplication"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def find_endpoint(namespace: str = "", host: str = "", token: str = "", ca_file: Path | None = None) -> Endpoint:
    """Complete what is given by what the cluster tells of itself.

    Args:
        namespace: Where the pipelines run; the pod's own or the kubeconfig's if empty.
        host: Address of the API server; if empty, that in the status of the namespace's
            DataSciencePipelinesApplication: the service's inside a pod, the route's elsewhere.
        token: Bearer token; if empty, `KFP_EDGE_TOKEN`, else the service account's or the kubeconfig's.
        ca_file: CA certificates (PEM) of the server; if None, the public ones (or those in SSL_CERT_FILE) and the
            cluster's.

    Raises:
        KfpEdgeError: there is no cluster and no host, or no API server in the namespace.
    """
    cluster = _cluster(namespace, needed=not host)
    host = (host if "://" in host else f"https://{host}") if host else _discover(cluster)
    source = _token_source(token, cluster)
    _must_be_safe(host, source)
    if ca_file is not None and not ca_file.is_file():
        raise KfpEdgeError(f"the CA file {ca_file} does not exist.")
    known = namespace or (cluster.namespace if cluster else "")
    return Endpoint(host.rstrip("/"), known, source, ca_file or _bundle(_authorities(cluster)))


def _cluster(namespace: str, needed: bool) -> Cluster | None:
    try:
        return Cluster.connect(namespace)
    except KfpEdgeError as error:
        if needed:
            raise KfpEdgeError(f"no host is given and there is no cluster to ask: {error}") from error
        return None


def _discover(cluster: Cluster | None) -> str:
    assert cluster is not None, "without a host there is a cluster"
    place = f"the namespace {cluster.namespace}"
    found = cluster.list(_KIND)
    if len(found) != 1:
        names = ", ".join(sorted(each["metadata"]["name"] for each in found))
        what = f"{len(found)} of them ({names})" if found else "none"
        raise KfpEdgeError(
            f"{place} should have one {_KIND} and has {what}; name the project's namespace, or give the host."
        )
    server = found[0].get("status", {}).get("components", {}).get("apiServer", {})
    host: str = (in_pod() and server.get("url")) or server.get("externalUrl", "")
    if not host:
        raise KfpEdgeError(
            f"the {_KIND} {found[0]['metadata']['name']} in {place} tells no address of its API server yet; "
            "wait until it is ready, or give the host."
        )
    return host


def _token_source(token: str, cluster: Cluster | None) -> Callable[[], str]:
    """Return what gives the token of the moment: a variable, a file or a kubeconfig may change while we wait."""
    if token:
        return lambda: token
    if os.environ.get(TOKEN):
        return lambda: os.environ.get(TOKEN, "").strip()
    if cluster is None:
        return lambda: ""
    namespace = cluster.namespace
    return lambda: Cluster.connect(namespace).token


def _must_be_safe(host: str, source: Callable[[], str]) -> None:
    try:
        url = urlsplit(host)
        name = url.hostname
    except ValueError:
        name = None
    if not name or url.scheme not in ("http", "https") or "@" in url.netloc:
        raise KfpEdgeError("the host of the API server must be https://HOST, without user and password.")
    token = source()
    if not token.isprintable():
        raise KfpEdgeError(f"the token for {name} must be one line of printable text; look at {TOKEN}.")
    if url.scheme == "http" and name not in _LOOPBACK and token:
        raise KfpEdgeError(f"http://{name} would carry the token in the clear; give https://{name}.")


def _authorities(cluster: Cluster | None) -> list[Path]:
    """Return the files of all CAs to trust: a route's certificate may be public or signed by the cluster's own CA."""
    files = [Path(os.environ.get("SSL_CERT_FILE") or certifi.where())]
    if cluster is not None and cluster.ca_file is not None:
        files += [cluster.ca_file, cluster.ca_file.with_name(_SERVICE_CA)]
    return [file for file in files if file.is_file()]


def _bundle(files: Iterable[Path]) -> Path:
    """Put certificates into one file, which is all that the official client takes; it lives as long as the process."""
    handle, name = tempfile.mkstemp(prefix="kfp-edge-ca-", suffix=".pem")
    with os.fdopen(handle, "wb") as stream:
        stream.write(b"\n".join(file.read_bytes() for file in files))
    atexit.register(Path(name).unlink, missing_ok=True)
    return Path(name)
