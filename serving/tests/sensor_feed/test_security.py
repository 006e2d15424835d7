"""TLS, client certificates, logins and tokens, and a configuration that does not fit: it works, or says why not."""

from pathlib import Path

import pytest

from serving_support.certificates import Authority
from serving_support.feed_process import running_feed
from serving_support.mosquitto import Mosquitto
from serving_support.mqtt_client import connected
from serving_support.server_process import PATIENT, Server, running
from serving_support.waiting import until
from serving_support.windowed_bundle import windowed_bundle

from .conftest import WITHOUT_WINDOWS, Configure
from .test_feed import PREDICTIONS, reading

#: Written by `mosquitto_passwd` for the user `feed` with the password `s3cret`.
PASSWORDS = (
    "feed:$7$101$hkZdr5DDfxr9Itf4$d1PSvMJrVRWqKkEAw3aEoGCMfGLsOoRnCCvm1NyxTWJk"
    "DBeG8tXZVY6ymcJbyxPWHvNvQP2RPpAuqPsqXEZGjQ==\n"
)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_may_ask_for_a_client_certificate(
    tmp_path: Path, token_server: Server, configure: Configure, protocol: str
) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("broker")
    own_certificate, own_key = authority.issue("feed")
    tls = [f"cafile {authority.certificate}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"]
    broker = Mosquitto(tmp_path / "broker", *tls).start()
    (tmp_path / "token").write_text("s3cret\n")
    configuration = configure(
        broker.port,
        token_server.port,
        model={"name": "pump", "token_file": tmp_path / "token"},
        broker={
            "ca_file": authority.certificate,
            "certificate_file": own_certificate,
            "key_file": own_key,
            "protocol": protocol,
            "status_topic": "status",
        },
        sources=[{"topic": "plant/{group}/state", "columns": ["torque", "speed", "wear"]}],
        rows=WITHOUT_WINDOWS,
        alarms={"topic": "alarms/{group}", "output": "probabilities.1", "above": 0.5},
    )
    client = {"ca_certs": authority.certificate, "certfile": own_certificate, "keyfile": own_key}
    with running_feed(configuration) as feed, connected(broker.port, "#", **client) as plant:
        feed.wait_until_ready()
        plant.send("plant/A/state", {"torque": 1, "speed": 2, "wear": 3})
        answer = plant.wait_for("predictions/pump/A", 1)[0]
        assert answer["prediction"]["label"] == 1
        assert plant.wait_for("alarms/A", 1)[0]["alarm"] == "on"
        plant.send("plant/A/state", {"torque": 0, "speed": -1, "wear": -0.5})
        assert [content["alarm"] for content in plant.wait_for("alarms/A", 2)] == ["on", "off"]
        feed.kill()
        assert plant.wait_for("status", 2)[-1] == "offline"
    with connected(broker.port, "alarms/#", **client) as later:
        assert later.wait_for("alarms/A", 1)[0]["alarm"] == "off"
        assert later.received[0].is_retained
    broker.kill()


def test_a_login_comes_from_the_environment_and_is_not_logged(tmp_path: Path, configure: Configure) -> None:
    (tmp_path / "passwords").write_text(PASSWORDS)
    (tmp_path / "passwords").chmod(0o600)
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {tmp_path}/passwords").start()
    windowed_bundle(tmp_path / "models")
    with running(tmp_path / "models", *PATIENT) as server:
        configuration = configure(broker.port, server.port)
        login = {"KFP_EDGE_FEED_USERNAME": "feed", "KFP_EDGE_FEED_PASSWORD": "wrong-password"}
        with running_feed(configuration, **login) as feed:
            refusal = "refuses the connection: Not authorized; the login is in KFP_EDGE_FEED_USERNAME and"
            until(lambda: refusal in feed.get("/ready")[1])
            assert feed.stop() == 0
            assert "wrong-password" not in str(feed.events)
    broker.kill()


def test_a_login_that_cannot_be_read_is_read_again(
    tmp_path: Path, broker: Mosquitto, server: Server, configure: Configure
) -> None:
    username = tmp_path / "username"
    username.write_bytes(b"f\xffed")
    configuration = configure(broker.port, server.port, broker={"username_file": username})
    with running_feed(configuration) as feed:
        error = f"the username for the broker in {username} cannot be read: it is no text in UTF-8."
        until(lambda: error in feed.get("/ready")[1])
        username.write_text("feed\n")
        until(lambda: feed.value("connected") == 1)


def test_a_token_that_cannot_be_sent_is_read_again(
    tmp_path: Path, broker: Mosquitto, token_server: Server, configure: Configure
) -> None:
    token = tmp_path / "token"
    configuration_of = {"name": "pump", "token_file": token}
    token.write_text("s3cr€t")
    source = {"topic": "plant/{group}/state", "columns": ["torque", "speed", "wear"]}
    configuration = configure(
        broker.port, token_server.port, model=configuration_of, sources=[source], rows=WITHOUT_WINDOWS
    )
    with running_feed(configuration) as feed:
        until(lambda: f"the token in {token} cannot be read: it is no text in ASCII." in feed.get("/ready")[1])
        token.write_text("s3cret\nand more")
        until(lambda: f"the token in {token} has more than one line." in feed.get("/ready")[1])
        token.write_text("s3cret\n")
        feed.wait_until_ready()


def test_a_broker_of_another_authority_is_refused_with_the_reason(
    tmp_path: Path, server: Server, configure: Configure
) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    certificate, key = other.issue("broker")
    broker = Mosquitto(
        tmp_path / "broker", f"cafile {other.certificate}", f"certfile {certificate}", f"keyfile {key}"
    ).start()
    configuration = configure(broker.port, server.port, broker={"ca_file": ours.certificate})
    with running_feed(configuration) as feed:
        until(lambda: "certificate verify failed" in feed.get("/ready")[1])
        assert feed.get("/live")[0] == 200
    broker.kill()


def test_rows_wait_while_the_model_takes_none_of_them(tmp_path: Path, broker: Mosquitto, configure: Configure) -> None:
    windowed_bundle(tmp_path / "models")
    with running(tmp_path / "models", *PATIENT) as server:
        wrong = configure(broker.port, server.port, rows={"group_column": "asset"})
        with running_feed(wrong) as feed, connected(broker.port) as plant:
            until(lambda: "'group_column' of [rows] must be 'machine' for the model 'press'." in feed.get("/ready")[1])
            until(lambda: feed.value("connected") == 1)
            plant.send_all([reading(second) for second in range(3)])
            until(lambda: feed.value("buffer_messages") == 3)
            assert feed.stop() == 0
        right = configure(broker.port, server.port)
        with connected(broker.port, "predictions/#") as plant, running_feed(right):
            plant.wait_for(PREDICTIONS, 1)
