# What `moodring bridge websocket` sends, in a Godot 4 scene. Put this script on a node, and connect its signal:
#     $Moodring.mood_changed.connect(_on_mood_changed)
# For Godot 3: moodring_godot3.gd
extends Node

signal mood_changed(valence: float, arousal: float, colour: Color)  # a few times a second
signal state_changed(state: String)  # "warming", "tracking", "silence", or "dead": no tracker, or no bridge

@export var url := "ws://127.0.0.1:5590"

const RETRY_SECONDS := 1.0

var valence := 0.0  # -1 unpleasant ... +1 pleasant; in silence as it was
var arousal := 0.0  # -1 calm ... +1 excited
var colour := Color.BLACK
var state := "dead"

var _socket := WebSocketPeer.new()
var _wait := 0.0


func _process(delta: float) -> void:
	_socket.poll()
	if _socket.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		_set_state("dead")
		_wait -= delta
		if _wait <= 0.0:
			_wait = RETRY_SECONDS
			_socket.connect_to_url(url)
	while _socket.get_available_packet_count() > 0:
		_take(JSON.parse_string(_socket.get_packet().get_string_from_utf8()))


func _exit_tree() -> void:
	_socket.close()


func _take(message: Variant) -> void:
	if not message is Dictionary:
		return
	_set_state("dead" if message.get("status") == "dead" else message.get("state", "warming"))
	if state != "dead" and message.has("valence"):
		valence = message["valence"]
		arousal = message["arousal"]
		colour = Color(message["colour"][0], message["colour"][1], message["colour"][2])
		mood_changed.emit(valence, arousal, colour)


func _set_state(new_state: String) -> void:
	if new_state != state:
		state = new_state
		state_changed.emit(state)
