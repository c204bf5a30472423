"""The MQTT bridge, as a process, with mosquitto as the broker: in plain text, and over TLS with passwords."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason='needs paho-mqtt: pip install "moodring[mqtt]"')

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from model.errors import MoodringError
from streamer.bridges.mqtt_access import PASSWORD_VARIABLE, tls_context
from tests.streamer.bridged import Bridged, bridged, estimate, free_port, status, until
from tests.streamer.certificates import NEEDS_OPENSSL, Desk

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


@contextmanager
def broker(port: int, folder: Path, more: str = "allow_anonymous true\n") -> Iterator[None]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed; scripts/test installs it")
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"user root\nlistener {port} 127.0.0.1\npersistence false\n{more}")
    folder.chmod(0o755)
    server = subprocess.Popen([MOSQUITTO, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port) or server.poll() is not None)
        assert server.poll() is None
        yield
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Listener:
    """Who comes later, and hears everything."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.payloads: dict[str, list[str]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *others: client.subscribe("moodring/#")
        self._client.on_message = lambda client, data, message: self.payloads.setdefault(message.topic, []).append(
            message.payload.decode()
        )
        if tls is not None:
            self._client.tls_set_context(tls)
            self._client.username_pw_set("stage", "öpen sesame")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def last(self, topic: str) -> str:
        return self.payloads.get(f"moodring/{topic}", [""])[-1]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_estimates_come_to_who_is_there_and_who_comes_later_and_a_broker_may_go_away(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    with bridged_with_broker(port, tmp_path) as (bridge, closing):
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        bridge.says("music")
        late = Listener(port)
        try:
            until(lambda: late.last("valence") == "0.25" and late.last("arousal") == "-0.5", lambda: late.payloads)
            until(lambda: late.last("status") == "running" and late.last("available") == "online")
            colour = json.loads(late.last("colour"))
            assert len(colour) == 3
            bridge.publisher.publish(estimate(1, (0.5, 0.5)))
            until(lambda: late.last("valence") == "0.5")
        finally:
            late.close()
        closing.close()
        bridge.says("has gone; waiting for it")
        with broker(port, tmp_path):
            again = Listener(port)
            try:
                until(lambda: again.last("available") == "online" and again.last("valence") == "0.5")
                assert bridge.end() == 0
                until(lambda: again.last("available") == "offline" and again.last("status") == "dead")
            finally:
                again.close()


@contextmanager
def bridged_with_broker(port: int, folder: Path) -> Iterator[tuple[Bridged, ExitStack]]:
    with ExitStack() as closing:
        closing.enter_context(broker(port, folder))
        with bridged("mqtt", f"127.0.0.1:{port}") as bridge:
            yield bridge, closing


def test_a_bridge_that_is_killed_is_offline_by_its_last_will(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    with broker(port, tmp_path), bridged("mqtt", f"127.0.0.1:{port}") as bridge:
        listener = Listener(port)
        try:
            until(lambda: listener.last("available") == "online")
            bridge.process.kill()
            until(lambda: listener.last("available") == "offline")
        finally:
            listener.close()


def test_without_a_broker_there_is_one_clear_line() -> None:
    with bridged("mqtt", f"127.0.0.1:{free_port(socket.SOCK_STREAM)}") as bridge:
        bridge.says("no MQTT broker can be reached there: Connection refused")
        assert bridge.process.wait(20) == 1
        assert len(bridge.lines) == 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Make certificates, and a broker's file of passwords."""
    if NEEDS_OPENSSL.args[0] or shutil.which("mosquitto_passwd") is None:
        pytest.skip("openssl or mosquitto_passwd is not installed; scripts/test installs mosquitto")
    desk = Desk(tmp_path_factory.mktemp("certificates"))
    for name in ("broker", "authority", "stranger"):
        desk.make(name)
    desk.make("elsewhere", host="DNS:elsewhere.example")
    desk.make("bridge", signed_by="authority")
    desk.make("impostor", signed_by="stranger")
    passwords = desk.folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "stage", "öpen sesame"], check=True, capture_output=True)
    for name, text in (("right", "öpen sesame\n# not this line"), ("wrong", "close"), ("empty", "\n")):
        path = desk.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    return desk


def encrypted(desk: Desk, name: str = "broker", more: str = "") -> str:
    return (
        f"allow_anonymous false\npassword_file {desk.folder / 'passwords'}\n"
        f"certfile {desk.certificate(name)}\nkeyfile {desk.private_key(name)}\n{more}"
    )


def test_estimates_come_over_tls_with_a_password_and_come_again_after_the_broker_was_away(
    desk: Desk, tmp_path: Path
) -> None:
    port = free_port(socket.SOCK_STREAM)
    login = ("--username", "stage", "--password-file", desk.folder / "right", "--tls-ca", desk.certificate("broker"))
    with ExitStack() as closing:
        closing.enter_context(broker(port, tmp_path, encrypted(desk)))
        with bridged("mqtt", f"127.0.0.1:{port}", *login) as bridge:
            bridge.connected()
            hears(bridge, port, desk, 0, 0.25)
            closing.close()
            bridge.says("has gone; waiting for it")
            with broker(port, tmp_path, encrypted(desk, "elsewhere")):  # another broker has taken its place
                bridge.says("is not spoken to: it has a certificate that is not allowed")
            with broker(port, tmp_path, encrypted(desk)):
                hears(bridge, port, desk, 1, -0.5)
                assert bridge.end() == 0


def hears(bridge: Bridged, port: int, desk: Desk, sequence: int, valence: float) -> None:
    listener = Listener(port, tls_context(desk.certificate("broker")))
    try:
        until(lambda: listener.last("available") == "online", lambda: bridge.lines)
        bridge.publisher.publish(estimate(sequence, (valence, 0.5)))
        until(lambda: listener.last("valence") == f"{valence:g}", lambda: bridge.lines)
    finally:
        listener.close()


def test_a_broker_that_asks_for_a_certificate_gets_it(desk: Desk, tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    more = f"cafile {desk.certificate('authority')}\nrequire_certificate true\nuse_identity_as_username true\n"
    own = ("--tls-ca", desk.certificate("broker"), "--tls-cert", desk.certificate("bridge"))
    with broker(port, tmp_path, encrypted(desk, more=more)):
        with bridged("mqtt", f"127.0.0.1:{port}", *own, "--tls-key", desk.private_key("bridge")) as bridge:
            bridge.says("10 outputs")
            assert bridge.end() == 0
        with bridged("mqtt", f"127.0.0.1:{port}", *own[:2]) as bridge:
            refused(bridge, "does not let the bridge in: it hangs up; ")
        own = ("--tls-cert", desk.certificate("impostor"), "--tls-key", desk.private_key("impostor"))
        with bridged("mqtt", f"127.0.0.1:{port}", "--tls-ca", desk.certificate("broker"), *own) as bridge:
            refused(bridge, "does not let the bridge in: it hangs up; ")


def refused(bridge: Bridged, said: str) -> None:
    bridge.says(said)
    assert bridge.process.wait(20) == 1
    assert len(bridge.lines) == 1, bridge.lines


def test_what_is_not_safe_or_not_right_is_one_clear_line_and_nothing_is_sent_in_plain_text(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port(socket.SOCK_STREAM)
    to = f"127.0.0.1:{port}"
    known, user = ("--tls-ca", desk.certificate("broker")), ("--username", "stage")
    refusals: tuple[tuple[tuple[object, ...], str], ...] = (
        ((*user, "--password-file", desk.folder / "right"), "it hangs up; does it want TLS (--tls)"),
        (("--tls",), "it has a certificate that is not allowed (self-signed certificate)"),
        (("--tls-ca", desk.certificate("stranger")), "it has a certificate that is not allowed"),
        ((*known, *user, "--password-file", desk.folder / "wrong"), "Not authorized; see --username"),
        (known, "Not authorized; see --username"),
    )
    with broker(port, tmp_path, encrypted(desk)):
        for options, said in refusals:
            with bridged("mqtt", to, *options) as bridge:
                refused(bridge, said)
        monkeypatch.setenv(PASSWORD_VARIABLE, "öpen sesame")
        with bridged("mqtt", to, *known, *user) as bridge:
            bridge.says("10 outputs")
    with broker(port, tmp_path), bridged("mqtt", to, *known) as bridge:
        refused(bridge, "no MQTT broker can be reached there: it ")
    other = ("--tls-ca", desk.certificate("elsewhere"))
    with broker(port, tmp_path, encrypted(desk, "elsewhere")), bridged("mqtt", to, *other) as bridge:
        refused(bridge, "certificate is not valid for '127.0.0.1'")
    with bridged("mqtt", "192.0.2.1:1883", *user) as bridge:
        refused(bridge, "the password would go there unencrypted; give --tls, or --insecure")


@pytest.mark.skipif(os.name != "posix", reason="files have no owners here")
def test_files_that_cannot_be_used_are_named(desk: Desk) -> None:
    (desk.folder / "open").write_text("secret")
    (desk.folder / "open").chmod(0o644)
    cases: tuple[tuple[tuple[object, ...], str], ...] = (
        (("--password-file", desk.folder / "right"), "--password-file is for a user; give --username, too"),
        (("--username", "a", "--password-file", desk.folder / "open"), "others can read or change"),
        (("--username", "a", "--password-file", desk.folder / "empty"), "there is no password in the first line of"),
        (("--username", "a", "--password-file", desk.folder / "none"), "--password-file: cannot read the password"),
    )
    for options, said in cases:
        with bridged("mqtt", "127.0.0.1:1", *options) as bridge:
            refused(bridge, said)
    for files, said in (
        ((desk.folder / "none",), "--tls-ca: cannot read the file of certificates"),
        ((desk.folder / "open",), "--tls-ca .* is not valid; give a PEM file of certificates"),
        ((None, None, desk.private_key("bridge")), "--tls-key is the key of a certificate; give --tls-cert, too"),
        ((None, desk.certificate("bridge"), desk.private_key("stranger")), "they do not belong together"),
        ((None, desk.folder / "open"), "others can read or change the private key"),
        ((None, desk.folder / "right"), "is not valid"),
    ):
        with pytest.raises(MoodringError, match=said):
            tls_context(*files)
