from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pcm import PCMFormat
from streamer.service.configuration import Configuration, ConfigurationError, check_configuration, load_configuration
from streamer.service.inputs import FifoInput, FileInput, MicrophoneInput, StdinInput, TcpInput
from tests.conftest import REPOSITORY, Outcome

MICROPHONE = '[streams.stage]\ntype = "microphone"\n'


def _load(folder: Path, text: str | bytes) -> Configuration:
    path = folder / "moodring.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_configuration(path)


def test_the_example_is_valid() -> None:
    configuration = load_configuration(REPOSITORY / "scripts" / "examples" / "serve.toml")
    assert {type(stream.input) for stream in configuration.streams.values()} == {
        MicrophoneInput,
        FileInput,
        FifoInput,
        TcpInput,
    }


def test_everything(tmp_path: Path) -> None:
    configuration = _load(
        tmp_path,
        """
        model = "mine.safetensors"
        runtime = "torch"
        lag = 1.5
        rate = 10
        [publish]
        endpoint = "tcp://0.0.0.0:5600"
        server_key = "keys/server.key_secret"
        allow_clients = "/etc/moodring/clients"
        [http]
        listen = "[::1]:0"
        [streams.stage]
        type = "microphone"
        device = "USB"
        required = false
        [streams."lobby.left"]
        type = "file"
        path = "music/lobby.flac"
        loop = false
        [streams.radio]
        type = "fifo"
        path = "/run/moodring/radio"
        sample_rate = 48000
        channels = 1
        format = "f32le"
        [streams.console]
        type = "stdin"
        [streams.desk]
        type = "tcp"
        listen = "0.0.0.0:5601"
        insecure = true
        [streams.far]
        type = "tcp"
        connect = "localhost:5601"
        """,
    )
    process = configuration.process
    assert (process.model, process.lag, process.rate) == ((str(tmp_path / "mine.safetensors"), "torch"), 1.5, 10)
    assert process.server_key == tmp_path / "keys" / "server.key_secret"
    assert process.allow_clients == Path("/etc/moodring/clients")
    assert str(process.http) == "[::1]:0"
    assert {name: stream.required for name, stream in configuration.streams.items() if not stream.required} == {
        "stage": False
    }
    assert configuration.streams["lobby.left"].input == FileInput(tmp_path / "music" / "lobby.flac", loop=False)
    assert configuration.streams["radio"].input == FifoInput(Path("/run/moodring/radio"), PCMFormat(48000, 1, "f32le"))
    assert configuration.streams["console"].input == StdinInput(PCMFormat())
    assert str(configuration.streams["desk"].input) == "port tcp://0.0.0.0:5601 (s16le, 44100 Hz, 2 channel(s))"
    assert str(configuration.streams["far"].input).startswith("connection to tcp://localhost:5601")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"streams is missing; give at least one stream: a table \[streams.NAME\]"),
        ("streams = 5", r"streams = 5 is not valid; give a table: \[streams\]"),
        ("[streams]", "streams is missing"),
        ("[streams.a]", "streams.a.type is missing; give one of microphone, file, fifo, stdin, tcp"),
        ("streams.a = 3", r"streams.a = 3 is not valid; give a table: \[streams.a\]"),
        (
            '[streams.a]\ntype = "mircophone"',
            r'= "mircophone" is not valid \(did you mean "microphone"\?\); give one of',
        ),
        ("[streams.a]\ntype = 7", "streams.a.type = 7 is not valid; give one of microphone"),
        ('[streams."a b"]\ntype = "microphone"', 'streams."a b" is not a name of a stream; give 1 to 100 letters'),
        (MICROPHONE + "device = 5", "streams.stage.device = 5 is not valid; give a device's name"),
        (MICROPHONE + 'device = ""', 'streams.stage.device = "" is not valid'),
        (MICROPHONE + 'device = "a\\u0000b"', "streams.stage.device = .* is not valid"),
        (
            MICROPHONE + 'devcie = "USB"',
            'streams.stage.devcie is not a key of a stream of type microphone.* did you mean "device"',
        ),
        (MICROPHONE + "loop = true", "streams.stage.loop is not a key of .*; known are type, required, device"),
        (MICROPHONE + 'required = "yes"', 'streams.stage.required = "yes" is not valid; give true or false'),
        ('[streams.a]\ntype = "file"', "streams.a.path is missing; give the path of an audio file"),
        ('[streams.a]\ntype = "file"\npath = ["x"]', r'streams.a.path = \["x"\] is not valid; give the path'),
        (
            '[streams.a]\ntype = "fifo"\npath = "x"\nchannels = 0',
            "channels = 0 is not valid; give a whole number from 1 to 1024",
        ),
        ('[streams.a]\ntype = "fifo"\npath = "x"\nchannels = true', "streams.a.channels = true is not valid"),
        (
            '[streams.a]\ntype = "stdin"\nsample_rate = 44100.0',
            "sample_rate = 44100.0 is not valid; give samples per second",
        ),
        (
            '[streams.a]\ntype = "stdin"\nformat = "s16"',
            r'streams.a.format = "s16" is not valid \(did you mean "s16le"\?\)',
        ),
        ('[streams.a]\ntype = "tcp"', "streams.a.listen is missing; give .*, or connect ="),
        ('[streams.a]\ntype = "tcp"\nlisten = "5600"', r'listen = "5600" is not valid \(there is no port in it\)'),
        ('[streams.a]\ntype = "tcp"\nlisten = "127.0.0.1:99999"', "streams.a.listen = .* is not valid"),
        (
            '[streams.a]\ntype = "tcp"\nlisten = "example.org:5600"',
            r"is not valid \(it is no address of this machine\)",
        ),
        ('[streams.a]\ntype = "tcp"\nlisten = "::1:5600"', "streams.a.listen = .* is not valid"),
        (
            '[streams.a]\ntype = "tcp"\nlisten = "0.0.0.0:5600"',
            'streams.a.listen = "0.0.0.0:5600" is not on this machine',
        ),
        ('[streams.a]\ntype = "tcp"\nconnect = "192.168.1.9:5600"', "give an address on 127.0.0.1, or insecure = true"),
        ('[streams.a]\ntype = "tcp"\nconnect = "localhost:0"', "streams.a.connect = .* is not valid"),
        (
            '[streams.a]\ntype = "tcp"\nconnect = "[::1]:1"\nlisten = "[::1]:2"',
            "streams.a.connect is given, and listen as well",
        ),
        (
            '[streams.a]\ntype = "stdin"\n[streams.b]\ntype = "stdin"',
            'streams.b.type = "stdin" is taken by streams.a.type',
        ),
        (
            MICROPHONE + '[streams.a]\ntype = "tcp"\nlisten = "127.0.0.1:5588"',
            'streams.a.listen = "127.0.0.1:5588" is taken by publish.endpoint',
        ),
        (
            MICROPHONE + '[publish]\nendpoint = "udp://1"',
            'publish.endpoint = "udp://1" is not valid; give tcp://HOST:PORT',
        ),
        (
            MICROPHONE + '[publish]\nendpoint = "tcp://0.0.0.0:1"',
            "is open to the network, unencrypted; give publish.server_key",
        ),
        (MICROPHONE + '[publish]\nserver_key = "a"', "publish.allow_clients is missing; give the folder"),
        (
            MICROPHONE + '[publish]\nallow_clients = "a"',
            "publish.server_key is missing; give the publisher's secret key",
        ),
        (MICROPHONE + "[publish]\nport = 1", "publish.port is not a key of .publish.; known are endpoint, insecure"),
        (MICROPHONE + '[http]\nlisten = "0.0.0.0:80"', 'http.listen = "0.0.0.0:80" is not on this machine'),
        ("lag = -0.5\n" + MICROPHONE, "lag = -0.5 is not valid; give seconds"),
        ('rate = "often"\n' + MICROPHONE, 'rate = "often" is not valid; give estimates a second'),
        ("lag = inf\n" + MICROPHONE, "lag = Infinity is not valid"),
        ('modle = "large"\n' + MICROPHONE, 'modle is not a key of a configuration; did you mean "model"'),
        ("streams = [", "is not TOML: Invalid value .at end of document"),
        (b"\xff", "is not TOML: byte 0 is not UTF-8"),
        ("a = " + "[" * 10_000, "is not TOML"),
        ("a = " + "9" * 10_000, "is not TOML|a is not a key"),
        ("#" * (1 << 20) + "\n", "is larger than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_key_and_way_out(
    text: str | bytes, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _load(tmp_path, text)
    (line,) = refused.value.problems
    assert line.startswith(f"{tmp_path}/moodring.toml: ")
    assert re.search(problem, line), line
    assert line.isprintable()
    assert len(line) < 600


def test_everything_that_is_wrong_is_said_at_once(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('lag = "soon"\n[streams.a]\ntype = "file"\n[streams.b]\ntype = "fifo"\npath = "x"\nformat = 3\n')
    outcome = moodring("serve", path)
    assert outcome.status == 1
    lines = outcome.errors.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"moodring: {path}: ") for line in lines)
    assert [line.split(": ")[2].split(" ")[0] for line in lines] == ["lag", "streams.a.path", "streams.b.format"]


@pytest.mark.parametrize(("name", "reason"), [("none.toml", "No such file"), (".", "Is a directory")])
def test_a_configuration_that_cannot_be_read(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot be read: {reason}"):
        load_configuration(tmp_path / name)


@given(
    st.recursive(
        st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.datetimes()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
    st.sampled_from(["model", "lag", "publish", "http", "streams", "streams.a", "streams.a.type", "streams.a.listen"]),
)
def test_any_value_anywhere_is_valid_or_said_to_be_wrong(value: object, key: str) -> None:
    content: dict[str, object] = {"streams": {"a": {"type": "tcp", "listen": "127.0.0.1:1"}}}
    *tables, last = key.split(".")
    table = content
    for name in tables:
        table = table[name]  # type: ignore[assignment]
    table[last] = value
    try:
        check_configuration(content, Path("any.toml"))
    except ConfigurationError as error:
        problems = error.problems
    else:
        problems = ("",)
    assert problems
    assert all(line.isprintable() for line in problems)


def test_check_says_what_would_run(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(MICROPHONE + 'device = "USB"\n[streams.net]\ntype = "tcp"\nlisten = "127.0.0.1:5601"\n')
    outcome = moodring("serve", path, "--check")
    assert (outcome.status, outcome.errors) == (0, "")
    assert outcome.output.splitlines()[0] == "publish: tcp://127.0.0.1:5588 (not encrypted)"
    assert outcome.output.splitlines()[1] == "http: http://127.0.0.1:5589/healthz and /metrics"
    assert outcome.output.splitlines()[3:] == [
        'stream stage: input device "USB"',
        "stream net: port tcp://127.0.0.1:5601 (s16le, 44100 Hz, 2 channel(s))",
    ]
