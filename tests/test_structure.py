from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MAY_IMPORT = {"model": {"model"}, "streamer": {"streamer", "model"}, "training": {"training", "model"}}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                names = [node.module or ""]
            ours = {name.split(".")[0] for name in names} & set(MAY_IMPORT)
            assert ours <= MAY_IMPORT[package], f"{path} imports {ours}"


def test_help_loads_nothing_heavy() -> None:
    program = """
import sys
sys.argv = ["moodring", "--help"]
from streamer.cli import main
try:
    main()
except SystemExit as ended:
    heavy = {"numpy", "torch", "librosa", "soundfile", "zmq", "rich"} & set(sys.modules)
    sys.exit(str(heavy) if heavy else ended.code)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    live = ("demo", "listen", "stream", "annotate", "watch", "devices")
    for command in (*live, "export", "train", "evaluate", "search", "reproduce"):
        assert f"  {command} " in ended.stdout


def test_a_live_command_never_loads_librosa(song: Path) -> None:
    program = f"""
import sys
sys.argv = ["moodring", "stream", {str(song)!r}, "--fast", "--quiet", "--publish", "tcp://127.0.0.1:*"]
from streamer.cli import main
try:
    main()
except SystemExit as ended:
    heavy = {{"librosa", "scipy", "numba", "sounddevice", "matplotlib"}} & set(sys.modules)
    sys.exit(str(heavy) if heavy else ended.code)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_nothing_is_unpickled() -> None:
    for package in MAY_IMPORT:
        for path in (REPOSITORY / package).rglob("*.py"):
            text = path.read_text()
            assert "import pickle" not in text, path
            assert "torch.load(" not in text, path
            assert "allow_pickle=True" not in text, path
