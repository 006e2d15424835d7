"""Discovery of the API server of Data Science Pipelines, a token for it and its CA certificates."""

import atexit
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from kfp_edge.client.server.kfp_api import Endpoint
from kfp_edge.errors import ClusterError, KfpEdgeError, ParameterError
from kfp_edge.kubernetes import Cluster, KubernetesObject, in_pod

#: The environment variable with a bearer token; it takes precedence over a service account's and a kubeconfig's.
TOKEN_VARIABLE = "KFP_EDGE_TOKEN"
#: The file next to a pod's `ca.crt` with the CA that signs the certificates of services inside an OpenShift cluster.
_SERVICE_CA = "service-ca.crt"
_KIND = "DataSciencePipelinesApplication"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: The port of the API server itself; the proxy in front of it, which asks for a token, has another one.
_SERVER_PORT = 8888
#: Seconds in which a port inside the cluster is reached, unless a NetworkPolicy drops the packets.
_CONNECT_SECONDS = 5.0


def find_endpoint(namespace: str = "", host: str = "", token: str = "", ca_file: Path | None = None) -> Endpoint:
    """Return the API server's endpoint; what is not given comes from the cluster.

    Args:
        namespace: The namespace where the pipelines run; the pod's own or the kubeconfig's if empty.
        host: The address of the API server; if empty, that in the status of the namespace's
            DataSciencePipelinesApplication: the service's inside a pod, the route's elsewhere.
        token: The bearer token; if empty, `KFP_EDGE_TOKEN`, else the service account's or the kubeconfig's.
        ca_file: The CA certificates (PEM) of the server; if None, the public ones (or those in SSL_CERT_FILE) and the
            cluster's.

    Raises:
        ClusterError: there is no cluster and no host, or no API server in the namespace.
        ParameterError: the host, the token or the CA file cannot be used.
    """
    cluster = _connect_cluster(namespace, required=not host)
    is_in_cluster = not host
    read_token = _token_source(token, cluster)
    if host:
        host = host if "://" in host else f"https://{host}"
    else:
        host, needs_token = _discover_host(cluster, "" if namespace else _describe_default_namespace())
        read_token = read_token if needs_token else lambda: ""
    _check_host_and_token(host, read_token)
    if ca_file is not None:
        _check_ca_file(ca_file)
    namespace = namespace or (cluster.namespace if cluster else "")
    bundle = ca_file or _write_ca_bundle(_ca_files(cluster))
    return Endpoint(
        host.rstrip("/"), namespace, read_token, bundle, cluster, is_in_cluster, has_own_ca_file=ca_file is not None
    )


def _check_ca_file(ca_file: Path) -> None:
    """Check that a file can be used as CA; with an empty one, urllib3 reports a server that cannot be reached."""
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError:
        raise ParameterError(
            f"the CA file {ca_file} contains no certificate that can be read; give certificates in PEM format."
        ) from None
    except FileNotFoundError:
        raise ParameterError(f"the CA file {ca_file} does not exist.") from None
    except OSError as error:
        raise ParameterError(f"the CA file {ca_file} cannot be read: {error.strerror}.") from None


def _connect_cluster(namespace: str, required: bool) -> Cluster | None:
    try:
        return Cluster.connect(namespace)
    except KfpEdgeError as error:
        if required:
            raise ClusterError(f"no host is given and there is no cluster to ask: {error}") from error
        return None


def _describe_default_namespace() -> str:
    return ", that of this pod," if in_pod() else ", that of the kubeconfig,"


def _discover_host(cluster: Cluster | None, remark: str) -> tuple[str, bool]:
    """Return the address of the API server, and whether it asks for a token.

    Args:
        cluster: Where the server is.
        remark: Where the name of the namespace is from, if the user has not given it.
    """
    assert cluster is not None, "without a host there is a cluster"
    namespace = f"the namespace {cluster.namespace}"
    applications = cluster.list(_KIND)
    if not applications and cluster.lacks_namespace():
        raise ClusterError(
            f"{namespace}{remark} does not exist in {cluster.host}; name the project with --namespace (namespace)."
        )
    if len(applications) != 1:
        names = ", ".join(sorted(application["metadata"]["name"] for application in applications))
        present = f"{len(applications)} of them ({names})" if applications else "none"
        raise ClusterError(
            f"{namespace}{remark} should have one {_KIND} and has {present}; name the project with --namespace "
            "(namespace), or the server with --host (host)."
        )
    (application,) = applications
    server = application.get("status", {}).get("components", {}).get("apiServer", {})
    if host := (in_pod() and server.get("url")) or server.get("externalUrl", ""):
        return host, True
    name = application["metadata"]["name"]
    if application["spec"].get("apiServer", {}).get("enableOauth", True) is False:
        return _host_without_route(application, cluster.namespace), False
    raise ClusterError(
        f"the {_KIND} {name} in {namespace} has no address of its API server yet; "
        "wait until it is ready, or give the host."
    )


def _host_without_route(application: KubernetesObject, namespace: str) -> str:
    """Return the address of a server without a proxy: it has no route, and the operator never reports an address.

    Raises:
        ClusterError: it cannot be reached from here.
    """
    name = application["metadata"]["name"]
    service = f"ds-pipeline-{name}"
    scheme = "http" if application["spec"].get("podToPodTLS", True) is False else "https"
    why = f"the {_KIND} {name} in the namespace {namespace} has `enableOauth: false`, and so neither route nor login"
    if not in_pod():
        # behind a forwarded port, its certificate would be for another name
        forward = f"run `oc port-forward -n {namespace} service/{service} {_SERVER_PORT}` and give the host "
        other = f"{forward}http://localhost:{_SERVER_PORT}" if scheme == "http" else "give the host of your own route"
        raise ClusterError(
            f"{why}: its API server has no address outside the cluster; set enableOauth to true, or {other}."
        )
    host = f"{service}.{namespace}.svc.cluster.local"
    try:
        socket.create_connection((host, _SERVER_PORT), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"{why}: {host} cannot be reached from this pod at port {_SERVER_PORT}, since the NetworkPolicy "
            f"ds-pipelines-{name} admits only pods of the pipeline server; set enableOauth to true, or admit this pod."
        ) from error
    return f"{scheme}://{host}:{_SERVER_PORT}"


def _token_source(token: str, cluster: Cluster | None) -> Callable[[], str]:
    """Return a function that reads the current token: a variable, a file or a kubeconfig may change while we wait."""
    if token:
        return lambda: token
    if os.environ.get(TOKEN_VARIABLE):
        return lambda: os.environ.get(TOKEN_VARIABLE, "").strip()
    if cluster is None:
        return lambda: ""
    namespace = cluster.namespace
    return lambda: Cluster.connect(namespace).token


def _check_host_and_token(host: str, read_token: Callable[[], str]) -> None:
    try:
        url = urlsplit(host)
        name = url.hostname
    except ValueError:
        name = None
    if not name or url.scheme not in ("http", "https") or "@" in url.netloc:
        raise ParameterError("the host of the API server must be https://HOST, without user and password.")
    token = read_token()
    if not token.isprintable():
        raise ParameterError(f"the token for {name} must be one line of printable text; check {TOKEN_VARIABLE}.")
    if url.scheme == "http" and name not in _LOOPBACK and token:
        raise ParameterError(f"http://{name} would send the token unencrypted; give https://{name}.")


def _ca_files(cluster: Cluster | None) -> list[Path]:
    """Return the files of all trusted CAs: a route's certificate may be public or signed by the cluster's own CA."""
    files = [Path(os.environ.get("SSL_CERT_FILE") or certifi.where())]
    if cluster is not None and cluster.ca_file is not None:
        files += [cluster.ca_file, cluster.ca_file.with_name(_SERVICE_CA)]
    return [file for file in files if file.is_file()]


def _write_ca_bundle(files: Iterable[Path]) -> Path:
    """Write certificates into one file, as the official client requires; it is removed when the process ends."""
    handle, name = tempfile.mkstemp(prefix="kfp-edge-ca-", suffix=".pem")
    with os.fdopen(handle, "wb") as stream:
        stream.write(b"\n".join(file.read_bytes() for file in files))
    atexit.register(Path(name).unlink, missing_ok=True)
    return Path(name)
