"""What the comparison of costs measures: processes whose costs are known, and the arithmetic between two lengths."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="the benchmark beside it is scikit-learn's (pip install moodring[train])")

from scripts.benchmarks.peers.cost import COLUMNS, Costs, Run, main, measure, ratio, table, write_audio
from scripts.benchmarks.peers.environments import LIBROSA, OPENSMILE, VIBENET, Peer
from tests.conftest import REPOSITORY
from training.tables import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts what processes take as Linux does")


def run(program: str) -> Run:
    return measure([sys.executable, "-I", "-c", program], None)


def test_work_is_counted_in_processor_seconds_also_a_childs() -> None:
    busy = "import time\nwhile time.process_time() < 0.4: pass\n"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-c', {busy!r}])\nprint(1)"
    idle = run("import time; time.sleep(0.4); print(1)")
    assert 0.4 <= run(f"{busy}print(1)").cpu < 1.5
    assert 0.4 <= run(child).cpu < 1.5
    assert idle.cpu < 0.3
    assert idle.first >= 0.4


def test_memory_is_the_process_and_its_children_and_not_this_one() -> None:
    hold = "import time; block = b'x' * 150_000_000; time.sleep(0.2)\n"
    child = f"import subprocess, sys\n{hold}subprocess.run([sys.executable, '-I', '-c', {hold!r}])\nprint(1)"
    ours = bytearray(b"x") * 200_000_000
    assert run("import time; time.sleep(0.1); print(1)").memory < 60
    assert 150 < run(f"{hold}print(1)").memory < 220
    assert 300 < run(child).memory < 400
    assert len(ours) == 200_000_000


def test_the_first_result_is_its_first_line() -> None:
    program = "import time; print(1, flush=True); time.sleep(1); print(2)"
    assert run(program).first < 0.9


@pytest.mark.parametrize("program", ["import sys; print(1); sys.exit('no such thing')", "raise SystemExit(3)", "pass"])
def test_a_program_that_fails_or_says_nothing_is_explained(program: str) -> None:
    with pytest.raises(DataError, match=r"failed: (no such thing|exit status [03])"):
        run(program)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.1, 5), st.floats(0.1, 20))
def test_start_and_slope_are_those_of_the_line(start: float, slope: float, short: float, more: float) -> None:
    lengths = (short, short + more)
    costs = Costs(*(Run(start + slope * minutes, 1.0, 1.0) for minutes in lengths), lengths)
    assert costs.slope == pytest.approx(slope, abs=1e-9 + 1e-9 / more)
    assert costs.start == pytest.approx(start, abs=1e-6)
    assert costs.cold * lengths[1] == pytest.approx(start + slope * lengths[1])


def test_peers_stand_beside_the_command_that_answers_the_same_question() -> None:
    def costs(cpu: float, first: float) -> list[Costs]:
        return [Costs(Run(cpu, 100.0, first), Run(cpu * 4, 100.0, first), (1.0, 5.0))] * 3

    of = {"moodring annotate": costs(1, 9), "moodring stream": costs(2, 1), "vibenet": costs(3, 4)}
    assert ratio(of, "vibenet", "a minute, CPU s") == "3.00"
    assert ratio(of, "vibenet", "first result, long") == "4.00"
    assert ratio(of, "moodring stream", "a minute, CPU s") == ""
    assert [column.header for column in table(of).columns] == ["", *COLUMNS]


def test_what_is_heard_has_both_lengths(tmp_path: Path) -> None:
    paths = write_audio(None, (0.1, 1.5), tmp_path)
    assert [soundfile.info(path).frames for path in paths] == [6 * 44100, 90 * 44100]
    own = write_audio(paths[0], (0.05, 0.2), tmp_path / "..")
    assert [soundfile.info(path).duration for path in own] == [3.0, 12.0]


@pytest.mark.parametrize("peer", [VIBENET, OPENSMILE, LIBROSA], ids=lambda peer: peer.name)
def test_a_peer_is_pinned_and_stands_alone(peer: Peer) -> None:
    assert all(line.count("==") == 1 for line in peer.requirements.read_text().split("\n") if line)
    for node in ast.walk(ast.parse(peer.cost_program.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"model", "streamer", "training", "scripts"}


@pytest.mark.parametrize("options", [["--minutes", "5", "1"], ["--rounds", "0"], ["--cores", "0"]])
def test_options_that_mean_nothing_are_refused(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cost", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


def test_the_script_says_what_it_takes() -> None:
    script = REPOSITORY / "scripts" / "benchmarks" / "peers" / "run"
    ended = subprocess.run(
        [str(script), "cost", "--help"],
        capture_output=True,
        text=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
    )
    assert ended.returncode == 0, ended.stderr
    assert "--rounds" in ended.stdout
