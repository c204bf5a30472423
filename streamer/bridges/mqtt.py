"""The MQTT bridge: each output is a topic of a broker."""

from __future__ import annotations

import logging
import ssl
import sys
import threading

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from model.errors import MoodringError
from streamer.bridges.changes import Changes
from streamer.bridges.datagrams import split_address
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value
from streamer.limited_log import LimitedLog
from streamer.tls import explain

AVAILABLE = "moodring/available"
"""Topic of ``online`` and ``offline``: the second is the last will, which the broker sends when the bridge has gone."""
KEEPALIVE = 5
"""Seconds; the broker knows after one and a half of it that the bridge has gone."""
CONNACK_PATIENCE = 10.0
"""Seconds for a broker that has been reached to let the bridge in."""
_LAST_WORDS = 1.0
"""Seconds for the last messages to leave."""
_logger = logging.getLogger("moodring.bridge")


class MQTTSender:
    """Publishes at an MQTT 3.1.1 broker, at most once each: numbers as text, colours as JSON arrays, texts as they are.

    While the broker is away, what would be sent is dropped; when it is back, everything is sent again.

    Parameters
    ----------
    to : str
        The broker's HOST:PORT.
    username, password : str or None
        For a broker that asks.
    tls : ssl.SSLContext or None
        Speak TLS, and nothing else; None for no encryption.

    Raises
    ------
    MoodringError
        If the broker cannot be reached, or refuses.
    """

    def __init__(self, to: str, username: str | None, password: str | None, tls: ssl.SSLContext | None) -> None:
        host, port = split_address(to)
        self._to = to
        self._changes = Changes()
        self._reconnected = False
        self._answered = threading.Event()
        self._refusal: str | None = None
        self._log = LimitedLog(_logger)
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.will_set(AVAILABLE, "offline", retain=True)
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._failed
        self._client.on_disconnect = self._disconnected
        try:
            self._client.connect(host, port, KEEPALIVE)
        except (OSError, UnicodeError) as error:
            raise MoodringError(f'--to "{to}": no MQTT broker can be reached there: {_reason(error, tls)}') from error
        self._client.loop_start()
        answered = self._answered.wait(CONNACK_PATIENCE)
        if answered and self._refusal is None:
            return
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()
        spoken = "MQTT" if tls is None else "MQTT over TLS"
        refusal = self._refusal or f"there is no answer to {spoken} within {CONNACK_PATIENCE:g} s"
        raise MoodringError(f'--to "{to}": the broker does not let the bridge in: {refusal}')

    def set_up(self, mapping: Mapping) -> None:
        """Take the topics of a mapping."""
        self._changes.set_up(mapping)

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send everything on a new estimate or to a new broker, and what has changed otherwise."""
        if not self._client.is_connected():
            return
        everything, self._reconnected = fresh or self._reconnected, False
        for name, value in self._changes.of(values, everything):
            self._client.publish(name.name, _payload(value), qos=0, retain=name.retain)

    def close(self) -> None:
        """Say goodbye and disconnect."""
        if self._client.is_connected():
            self._client.publish(AVAILABLE, "offline", qos=1, retain=True).wait_for_publish(_LAST_WORDS)
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not self._answered.is_set():
            self._refusal = f"{reason}; see --username and --password-file" if reason.is_failure else None
            self._answered.set()
        elif reason.is_failure:
            self._log.warning("refused", f"the MQTT broker at {self._to} refuses: {reason}; trying again")
        if reason.is_failure:
            return
        client.publish(AVAILABLE, "online", retain=True)
        self._reconnected = True

    def _disconnected(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not self._answered.is_set():
            self._refusal = "it hangs up; does it want TLS (--tls), or a certificate of the bridge's own (--tls-cert)?"
            self._answered.set()
        if self._refusal is not None:  # the constructor says it
            return
        self._log.warning("gone", f"the MQTT broker at {self._to} has gone; waiting for it")

    def _failed(self, client: Client, data: object) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, ssl.SSLError):
            self._log.warning("tls", f"the MQTT broker at {self._to} is not spoken to: {explain(error)}; trying again")


def _reason(error: Exception, tls: ssl.SSLContext | None) -> str:
    if isinstance(error, ssl.SSLError):
        return explain(error)
    if tls is not None and isinstance(error, ConnectionResetError):
        return "it hangs up when TLS begins"
    return error.strerror or "no answer" if isinstance(error, OSError) else "no such name"


def _payload(value: Value) -> str:
    if isinstance(value, str):
        return value
    parts = [f"{part:g}" for part in value]
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
