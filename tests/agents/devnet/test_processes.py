"""Children end when they should, and say why when they end early."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.devnet.processes import Process, ProcessFailed

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
LIMIT = 20.0


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_runs_and_is_stopped(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEP, {}, tmp_path / "logs" / "sleeper.log")
    process.wait_until(lambda: "up" in process.tail(), LIMIT)
    pid = process.pid
    process.stop()
    assert not process.alive
    assert not running(pid)


def test_it_can_be_killed_and_started_again_with_one_log(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEP, {}, tmp_path / "sleeper.log")
    process.wait_until(lambda: "up" in process.tail(), LIMIT)
    first = process.pid
    process.kill()
    process.start()
    process.wait_until(lambda: process.log.read_text().count("up") == 2, LIMIT)
    assert process.pid != first
    process.stop()


def test_an_early_end_says_what_the_log_says(tmp_path: Path) -> None:
    process = Process(
        "failing", (sys.executable, "-c", "raise SystemExit('no port free')"), {}, tmp_path / "log"
    )
    with pytest.raises(ProcessFailed, match=r"(?s)failing ended early.*no port free"):
        process.wait_until(lambda: False, LIMIT)


def test_its_environment_is_added_to_ours(tmp_path: Path) -> None:
    code = "import os; print(os.environ['CAPEK_X'], 'PATH' in os.environ)"
    process = Process("env", (sys.executable, "-c", code), {"CAPEK_X": "seen"}, tmp_path / "log")
    wait_for(lambda: not process.alive)
    assert process.tail() == "seen True"


@pytest.mark.skipif(sys.platform != "linux", reason="children are tied to their parent by a Linux call")
def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from agents.devnet.processes import Process\n"
        f"p = Process('child', {SLEEP!r}, {{}}, Path({str(tmp_path / 'log')!r}))\n"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert running(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not running(child))
