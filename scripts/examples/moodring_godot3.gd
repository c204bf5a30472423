# What `moodring bridge websocket` sends, in a Godot 3 scene. Put this script on a node, and connect its signal:
#     $Moodring.connect("mood_changed", self, "_on_mood_changed")
# For Godot 4: moodring_godot4.gd
extends Node

signal mood_changed(valence, arousal, colour)  # a few times a second
signal state_changed(state)  # "warming", "tracking", "silence", or "dead": no tracker, or no bridge

export var url = "ws://127.0.0.1:5590"

const RETRY_SECONDS = 1.0

var valence = 0.0  # -1 unpleasant ... +1 pleasant; in silence as it was
var arousal = 0.0  # -1 calm ... +1 excited
var colour = Color(0, 0, 0)
var state = "dead"

var _client = WebSocketClient.new()
var _wait = 0.0


func _ready():
	_client.connect("data_received", self, "_take")
	_client.connect("connection_closed", self, "_lost")
	_client.connect("connection_error", self, "_lost")


func _process(delta):
	if _client.get_connection_status() == NetworkedMultiplayerPeer.CONNECTION_DISCONNECTED:
		_wait -= delta
		if _wait <= 0:
			_wait = RETRY_SECONDS
			_client.connect_to_url(url)
	else:
		_client.poll()


func _exit_tree():
	_client.disconnect_from_host()


func _take():
	var message = parse_json(_client.get_peer(1).get_packet().get_string_from_utf8())
	if typeof(message) != TYPE_DICTIONARY:
		return
	_set_state("dead" if message.get("status") == "dead" else message.get("state", "warming"))
	if state != "dead" and message.has("valence"):
		valence = message["valence"]
		arousal = message["arousal"]
		colour = Color(message["colour"][0], message["colour"][1], message["colour"][2])
		emit_signal("mood_changed", valence, arousal, colour)


func _lost(_reason = null):
	_set_state("dead")


func _set_state(new_state):
	if new_state != state:
		state = new_state
		emit_signal("state_changed", state)
