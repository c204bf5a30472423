"""The MQTT bridge: each output is a topic of a broker."""

from __future__ import annotations

import logging

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

AVAILABLE = "moodring/available"
"""Topic of ``online`` and ``offline``: the second is the last will, which the broker sends when the bridge has gone."""
KEEPALIVE = 5
"""Seconds; the broker knows after one and a half of it that the bridge has gone."""
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

    Raises
    ------
    MoodringError
        If the broker cannot be reached.
    """

    def __init__(self, to: str, username: str | None, password: str | None) -> None:
        host, port = split_address(to)
        self._to = to
        self._changes = Changes()
        self._reconnected = False
        self._log = LimitedLog(_logger)
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.will_set(AVAILABLE, "offline", retain=True)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        try:
            self._client.connect(host, port, KEEPALIVE)
        except (OSError, UnicodeError) as error:
            reason = error.strerror or "no answer" if isinstance(error, OSError) else "no such name"
            raise MoodringError(f'--to "{to}": no MQTT broker can be reached there: {reason}') from error
        self._client.loop_start()

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
        if reason.is_failure:
            self._log.warning("refused", f"the MQTT broker at {self._to} refuses: {reason}; trying again")
            return
        client.publish(AVAILABLE, "online", retain=True)
        self._reconnected = True

    def _disconnected(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._log.warning("gone", f"the MQTT broker at {self._to} has gone; waiting for it")


def _payload(value: Value) -> str:
    if isinstance(value, str):
        return value
    parts = [f"{part:g}" for part in value]
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
