from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
import zmq.auth
from hypothesis import given
from hypothesis import strategies as st

from streamer.key_files import (
    MAXIMUM_FILE_SIZE,
    KeyFileError,
    list_public_keys,
    read_public_key,
    read_secret_key,
    write_key_pair,
)
from streamer.keys import ClientKeys, ServerKeys
from tests.streamer.keyring import Keyring

PUBLIC = b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
SECRET = b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"""The example of RFC 26."""
CERTIFICATE = b'metadata\ncurve\n    public-key = "%s"\n    secret-key = "%s"\n' % (PUBLIC, SECRET)

posix = pytest.mark.skipif(os.name != "posix", reason="files have no owners here")


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def _secret_file(folder: Path, content: bytes) -> Path:
    path = folder / "some.key_secret"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@posix
def test_a_secret_key_is_its_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        public, secret = write_key_pair("lights", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert SECRET not in public.read_bytes()
    assert b"secret-key" not in public.read_bytes()


def test_pyzmq_reads_what_is_written(tmp_path: Path) -> None:
    public, secret = write_key_pair("lights", tmp_path)
    pair = read_secret_key(secret)
    assert zmq.auth.load_certificate(secret) == pair
    assert zmq.auth.load_certificate(public) == (pair.public, None)
    assert read_public_key(public) == pair.public
    assert zmq.curve_public(pair.secret) == pair.public


def test_what_pyzmq_writes_is_read(tmp_path: Path) -> None:
    public, secret = map(Path, zmq.auth.create_certificates(tmp_path, "lights", {"name": "lights"}))
    secret.chmod(0o600)
    assert read_secret_key(secret) == zmq.auth.load_certificate(secret)
    assert read_public_key(public) == zmq.auth.load_certificate(secret)[0]


def test_the_keys_of_the_standard(tmp_path: Path) -> None:
    assert read_secret_key(_secret_file(tmp_path, CERTIFICATE)) == (PUBLIC, SECRET)


@pytest.mark.parametrize("name", ["lights.key", "lights.key_secret"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(KeyFileError, match=f'{name}" exists already'):
        write_key_pair("lights", tmp_path)
    assert (tmp_path / name).read_bytes() == b"precious"
    assert os.listdir(tmp_path) == [name]


@posix
def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lights.key_secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_pair("lights", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@posix
def test_a_full_disk_leaves_no_half_of_a_pair(tmp_path: Path) -> None:
    import resource

    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, limits[1]))
    try:
        with pytest.raises(KeyFileError, match="cannot write"):
            write_key_pair("lights", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-o", ".hidden", "a b", "a\n", "ä", "x" * 101])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot name a key"):
        write_key_pair(name, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r'cannot write ".*/nowhere/lights.key_secret": No such file'):
        write_key_pair("lights", tmp_path / "nowhere")


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_secret_that_others_can_read_is_refused(ring: Keyring, mode: int) -> None:
    ring.secret("stage").chmod(mode)
    with pytest.raises(KeyFileError, match=r'stage.key_secret": run chmod 600'):
        ring.server()
    ring.secret("stage").chmod(0o400)
    ring.server()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a key; moodring keygen makes one"),
        (b"RIFF\xff\xfe\0\0WAVE", "is not text"),
        (b"#" * (MAXIMUM_FILE_SIZE + 1), "is larger than 64 KiB"),
        (CERTIFICATE.replace(SECRET, b"short"), "secret key is damaged"),
        (CERTIFICATE.replace(PUBLIC, b"~" * 40), "public key is damaged"),
        (CERTIFICATE.replace(PUBLIC, b"#" * 40), "public key is damaged"),
        (CERTIFICATE + CERTIFICATE, "public key is damaged"),
        (CERTIFICATE.replace(b"secret-key", b"#"), "holds a public key only; give the secret one, NAME.key_secret"),
        (CERTIFICATE.replace(b"public-key", b"#"), "is not a key"),
        (CERTIFICATE.replace(PUBLIC, SECRET), "do not belong together"),
    ],
)
def test_files_that_are_no_secret_keys(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = _secret_file(tmp_path, content)
    with pytest.raises(KeyFileError, match=complaint) as refused:
        read_secret_key(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@posix
def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, complaint in [("pipe", "is not a file"), ("loop", "cannot read"), ("none", "No such file"), ("", "dir")]:
        with pytest.raises(KeyFileError, match=complaint):
            read_public_key(tmp_path / name)
    with pytest.raises(KeyFileError, match="is not a file"):
        read_public_key(Path("/dev/zero"))


def test_reading_bad_files_costs_no_descriptors(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not tell which descriptors are open")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(KeyFileError):
            read_public_key(tmp_path)
    assert len(os.listdir("/proc/self/fd")) <= before + 5


def test_a_secret_key_is_no_public_one(ring: Keyring) -> None:
    with pytest.raises(KeyFileError, match="belongs to its owner only; give the public one"):
        ClientKeys.load(ring.secret("stage"), ring.secret("stage"))


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda key: CERTIFICATE.replace(PUBLIC, key)))
def test_whatever_a_file_holds(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = _secret_file(tmp_path_factory.getbasetemp(), content)
    with suppress(KeyFileError):
        pair = read_secret_key(path)
        assert zmq.curve_public(pair.secret) == pair.public
        assert zmq.auth.load_certificate(path) == pair


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 255))
def test_a_damaged_key_is_never_taken_for_another(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    path = _secret_file(tmp_path_factory.getbasetemp(), CERTIFICATE[:place] + bytes([byte]) + CERTIFICATE[place + 1 :])
    try:
        assert read_secret_key(path) == (PUBLIC, SECRET)
    except KeyFileError:
        assert byte != CERTIFICATE[place]


def test_who_may_subscribe_has_to_be_said(ring: Keyring) -> None:
    with pytest.raises(KeyFileError, match=r"not who may subscribe.*--allow-clients"):
        ServerKeys.load(ring.secret("stage"), None)
    with pytest.raises(KeyFileError, match=r"cannot read the folder of public keys.*No such file"):
        ServerKeys.load(ring.secret("stage"), ring.folder / "nowhere")
    with pytest.raises(KeyFileError, match=r"cannot read the folder of public keys.*Not a directory"):
        ServerKeys.load(ring.secret("stage"), ring.public("stage"))


@posix
def test_a_folder_that_everybody_can_change_is_refused(ring: Keyring) -> None:
    ring.allowed.chmod(0o777)
    with pytest.raises(KeyFileError, match="run chmod o-w"):
        ring.server()


def test_only_public_key_files_are_listed(ring: Keyring) -> None:
    ring.allow("lights")
    for name in ("README", "lights.key_secret", "lights.key~", "lights.key.swp"):
        (ring.allowed / name).touch()
    assert list_public_keys(ring.allowed) == [ring.allowed / "lights.key"]


def test_secret_keys_are_not_shown(ring: Keyring) -> None:
    server, client = ring.server(), ring.client("lights")
    assert server.secret_key.decode() not in repr(server)
    assert client.secret_key.decode() not in repr(client)


def test_a_socket_that_nobody_guards_lets_nobody_in(ring: Keyring) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
        ring.server().apply_to(publisher)
        ring.client("lights").apply_to(subscriber)
        monitor = publisher.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        subscriber.subscribe("")
        subscriber.connect(f"tcp://127.0.0.1:{port}")
        assert monitor.poll(10_000)
        assert int.from_bytes(monitor.recv_multipart()[0][:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        assert not publisher.poll(0)
    finally:
        context.destroy(linger=0)


def test_keys_need_only_pyzmq() -> None:
    program = """
import sys
import streamer.keys
heavy = {"numpy", "torch", "soundfile", "sounddevice", "click", "rich", "asyncio"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
