import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.fetch import check_exists, fetch
from kfp_edge.storage.urls import redacted_url
from support.s3 import S3Server

BUCKET = "machines"


class Web(BaseHTTPRequestHandler):
    """A web server that misbehaves by address."""

    busy_answers = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status = {"/gone.csv": 404, "/private.csv": 403, "/down.csv": 503}.get(path, 200)
        if path == "/busy.csv" and Web.busy_answers < 1:
            Web.busy_answers += 1
            status = 503
        self.send_response(status)
        self.send_header("Content-Length", "1000" if path == "/cut.csv" else "4")
        self.end_headers()
        self.wfile.write(b"a\n1\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", autouse=True)
def objects(s3_store: S3Server) -> None:
    client = s3_store.client()
    client.create_bucket(Bucket=BUCKET)
    for key in ("line/a.csv", "line/deep/b.csv", "line2/c.csv"):
        client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    client.put_object(Bucket=BUCKET, Key="big.bin", Body=b"0123456789" * 2_000_000)


@contextmanager
def refused(*words: str) -> Iterator[None]:
    with pytest.raises(KfpEdgeError) as caught:
        yield
    for word in words:
        assert word in str(caught.value)


def test_a_local_file_is_used_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a")
    assert fetch(str(file), tmp_path / "down") == file
    assert fetch(file.as_uri(), tmp_path / "down") == file
    assert not (tmp_path / "down").exists()


def test_a_missing_local_file_is_named(tmp_path: Path) -> None:
    with refused(str(tmp_path / "no.csv")):
        fetch(str(tmp_path / "no.csv"), tmp_path)


def test_an_empty_address_is_refused(tmp_path: Path) -> None:
    with refused("no file or folder"):
        fetch("", tmp_path)


def test_an_unknown_scheme_is_refused_with_those_that_work(tmp_path: Path) -> None:
    with refused("gs://bucket/a", "s3://", "https://"):
        fetch("gs://bucket/a", tmp_path)


def test_an_object_is_downloaded_under_its_name(s3: S3Server, tmp_path: Path) -> None:
    path = fetch(f"s3://{BUCKET}/line/a.csv", tmp_path)
    assert (path.name, path.read_text()) == ("a.csv", "line/a.csv")


def test_a_large_object_arrives_whole(s3: S3Server, tmp_path: Path) -> None:
    assert fetch(f"s3://{BUCKET}/big.bin", tmp_path).read_bytes() == b"0123456789" * 2_000_000


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/line", f"s3://{BUCKET}/line/"])
def test_a_prefix_becomes_a_folder_of_its_objects_and_no_others(s3: S3Server, tmp_path: Path, uri: str) -> None:
    path = fetch(uri, tmp_path)
    files = {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}
    assert files == {"a.csv": "line/a.csv", "deep/b.csv": "line/deep/b.csv"}


def test_two_objects_of_the_same_name_do_not_replace_each_other(s3: S3Server, tmp_path: Path) -> None:
    s3.client().put_object(Bucket=BUCKET, Key="other/a.csv", Body=b"other")
    first, second = (fetch(f"s3://{BUCKET}/{folder}/a.csv", tmp_path) for folder in ("line", "other"))
    assert (first.read_text(), second.read_text()) == ("line/a.csv", "other")


def test_the_endpoint_of_boto3_itself_works_too(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_S3_ENDPOINT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert fetch(f"s3://{BUCKET}/line/a.csv", tmp_path).read_text() == "line/a.csv"


def test_a_missing_key_is_named(s3: S3Server, tmp_path: Path) -> None:
    with refused(f"nothing at s3://{BUCKET}/no.csv"):
        fetch(f"s3://{BUCKET}/no.csv", tmp_path)


def test_a_missing_bucket_is_named(s3: S3Server, tmp_path: Path) -> None:
    with refused("no bucket 'nobody'"):
        fetch("s3://nobody/a.csv", tmp_path)


def test_an_address_without_a_bucket_is_refused(tmp_path: Path) -> None:
    with refused("s3://BUCKET/KEY"):
        fetch("s3:///a.csv", tmp_path)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_an_error_about_wrong_credentials_does_not_show_them(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, "wrong-one")
    with pytest.raises(KfpEdgeError, match="denied access") as caught:
        fetch(f"s3://{BUCKET}/line/a.csv", tmp_path)
    assert "wrong-one" not in str(caught.value)


def test_without_credentials_the_error_names_the_data_connection(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with refused("no credentials", "data connection"):
        fetch(f"s3://{BUCKET}/line/a.csv", tmp_path)


def test_an_endpoint_without_a_server_is_unreachable(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", "http://127.0.0.1:9")
    with refused("cannot be reached", "AWS_S3_ENDPOINT"):
        fetch(f"s3://{BUCKET}/line/a.csv", tmp_path)


def test_an_endpoint_that_is_not_a_url_is_refused(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", "http://not an address")
    with refused("AWS_S3_ENDPOINT is not valid"):
        fetch(f"s3://{BUCKET}/line/a.csv", tmp_path)


def test_a_failed_download_leaves_nothing_behind(s3: S3Server, tmp_path: Path) -> None:
    with refused("nothing at"):
        fetch(f"s3://{BUCKET}/no.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_presigned_url_works(s3: S3Server, tmp_path: Path) -> None:
    url = s3.client().generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "line/a.csv"})
    path = fetch(url, tmp_path)
    assert (path.name, path.read_text()) == ("a.csv", "line/a.csv")


def test_an_error_does_not_show_the_signature_of_a_presigned_url(s3: S3Server, tmp_path: Path) -> None:
    url = s3.client().generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "line/a.csv"})
    with pytest.raises(KfpEdgeError, match="denied access") as caught:
        fetch(url.replace("Signature=", "Signature=x"), tmp_path)
    assert "Signature" not in str(caught.value)


def test_a_file_of_a_web_server_is_downloaded_under_its_name(web: str, tmp_path: Path) -> None:
    path = fetch(f"{web}/a.csv?token=x", tmp_path)
    assert (path.name, path.read_text()) == ("a.csv", "a\n1\n")


def test_a_server_that_is_busy_once_is_retried(web: str, tmp_path: Path) -> None:
    Web.busy_answers = 0
    assert fetch(f"{web}/busy.csv", tmp_path).read_text() == "a\n1\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.csv", "there is nothing at"),
        ("private.csv", "denied access"),
        ("down.csv", "HTTP 503"),
        ("cut.csv", "was interrupted 3 times"),
    ],
)
def test_an_error_of_a_web_server_is_one_sentence_without_secrets(
    web: str, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(KfpEdgeError, match=message) as caught:
        fetch(f"{web}/{name}?token=hidden", tmp_path)
    assert "hidden" not in str(caught.value)
    assert f"{web}/{name}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_web_server_the_address_is_unreachable(tmp_path: Path) -> None:
    with refused("http://127.0.0.1:9/a.csv cannot be reached"):
        fetch("http://anna:hidden@127.0.0.1:9/a.csv", tmp_path)


def test_an_address_that_is_not_a_url_is_refused(tmp_path: Path) -> None:
    with refused("not valid"):
        fetch("https://[broken/a.csv", tmp_path)


secret = st.text("abcdefghijklmnopqrstuvwxyz0123456789:%+", min_size=1).map(lambda text: f"SECRET{text}")


@given(user=secret, query=secret, fragment=secret)
def test_a_redacted_url_shows_no_part_that_may_be_secret(user: str, query: str, fragment: str) -> None:
    assert redacted_url(f"https://{user}@host:8443/a/b.csv?{query}#{fragment}") == "https://host:8443/a/b.csv"


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/line/a.csv", f"s3://{BUCKET}/line", f"s3://{BUCKET}/line/"])
def test_an_object_or_a_prefix_is_found_without_a_transfer(s3: S3Server, uri: str) -> None:
    check_exists(uri)


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/no.csv", f"s3://{BUCKET}/lin", "s3://nobody/a.csv"])
def test_an_object_that_does_not_exist_is_found_out_before_a_run(s3: S3Server, uri: str) -> None:
    with refused("there is no"):
        check_exists(uri)


def test_a_file_of_a_web_server_is_found_or_named(web: str) -> None:
    check_exists(f"{web}/a.csv")
    with refused("there is nothing at", "gone.csv"):
        check_exists(f"{web}/gone.csv?token=x")


def test_a_local_path_or_another_scheme_is_checked_as_fetch_does(tmp_path: Path) -> None:
    check_exists(str(tmp_path))
    with refused("no file or folder"):
        check_exists(str(tmp_path / "no.csv"))
    with refused("gs://bucket/a"):
        check_exists("gs://bucket/a")


def test_the_login_of_a_web_server_comes_from_a_netrc_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Guarded(Web):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == f"Basic {base64.b64encode(b'anna:hidden').decode()}":
                super().do_GET()
            else:
                self.send_error(401)

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login anna password hidden\n")
    netrc.chmod(0o600)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.csv"
        with refused("denied access"):
            fetch(url, tmp_path / "down")
        monkeypatch.setenv("NETRC", str(netrc))
        assert fetch(url, tmp_path / "down").read_text() == "a\n1\n"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
