"""Nothing that is read from a file or from the network is executed: no module has what could do it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "code",
    "yaml",
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "os.system", "os.popen", "numpy.memmap", "np.memmap"),
    *("pandas.read_pickle", "pd.read_pickle", "runpy.run_path", "ctypes.pythonapi"),
}
LOADERS = {"np.load", "numpy.load"}
"""Allowed with allow_pickle=False only."""


def _sources() -> list[Path]:
    folders = [REPOSITORY / name for name in ("model", "streamer", "training", "scripts")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def offences(tree: ast.AST) -> Iterator[str]:
    """Give a line for each thing that could execute what was read."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [module] if module else [alias.name for alias in node.names]
            for name in names:
                if name.split(".")[0] in FORBIDDEN_MODULES:
                    yield f"line {node.lineno}: imports {name}"
            imported = {f"{module}.{alias.name}" for alias in node.names} if module else set()
            for name in imported & (FORBIDDEN_CALLS | LOADERS):
                yield f"line {node.lineno}: imports {name} by its own name"
        if isinstance(node, ast.Call):
            name = _name(node.func)
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            if name in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: calls {name}"
            allowed = keywords.get("allow_pickle")
            if name in LOADERS and not (isinstance(allowed, ast.Constant) and allowed.value is False):
                yield f"line {node.lineno}: {name} without allow_pickle=False"
            if "allow_pickle" in keywords and not (isinstance(allowed, ast.Constant) and allowed.value is False):
                yield f"line {node.lineno}: allow_pickle"
            shell = keywords.get("shell")
            if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
                yield f"line {node.lineno}: a shell"


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_module_executes_data(path: Path) -> None:
    assert list(offences(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('a')",
        "from torch import load",
        "import numpy as np\nnp.load('a')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import numpy as np\nnp.save('a', x, allow_pickle=flag)",
        "eval('1')",
        "exec(text)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import yaml",
        "import os\nos.system(text)",
    ],
)
def test_what_would_be_found(source: str) -> None:
    assert list(offences(ast.parse(source)))


def test_what_is_harmless() -> None:
    harmless = "network.eval()\nimport re\nre.compile('a')\nimport numpy as np\nnp.load('a', allow_pickle=False)"
    assert list(offences(ast.parse(harmless))) == []
