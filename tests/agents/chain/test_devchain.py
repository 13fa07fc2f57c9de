import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agents.chain.connection import Connection
from agents.chain.devchain import DevChain, DevChainError, dev_wallet


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_dead(pid: int) -> None:
    for _ in range(500):
        if not alive(pid):
            return
        threading.Event().wait(0.02)
    pytest.fail(f"process {pid} lives on")


def pid_of(chain: DevChain) -> int:
    assert chain._process is not None
    return chain._process.pid


@pytest.mark.usefixtures("_anvil")
class TestDevChain:
    def test_it_answers_and_its_accounts_are_rich(self) -> None:
        with DevChain(chain_id=1337) as chain:
            connection = chain.connect()
            assert connection.chain_id == 1337
            assert dev_wallet(0).address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
            assert connection.balance(dev_wallet(9).address) == 10_000 * 10**18
            pid = pid_of(chain)
        assert not alive(pid)
        assert not chain.alive

    def test_two_at_once(self) -> None:
        with DevChain() as one, DevChain() as two:
            assert one.url != two.url
            one.connect().rpc("evm_mine")
            assert two.connect().latest().number == 0

    def test_a_port_that_is_taken(self) -> None:
        with DevChain() as chain:
            port = int(chain.url.rsplit(":", 1)[1])
            with pytest.raises(DevChainError, match=f"did not start on port {port}; it said: .*in use"):
                DevChain(port=port)

    def test_blocks_by_the_clock(self) -> None:
        with DevChain(block_time=0.05) as chain:
            connection = chain.connect()
            for _ in range(500):
                if connection.latest().number > 2:
                    return
                threading.Event().wait(0.02)
            pytest.fail("no blocks")

    @pytest.mark.parametrize("brutally", [False, True])
    def test_its_state_survives(self, tmp_path: Path, brutally: bool) -> None:
        state = tmp_path / "chain" / "state.json"
        address = dev_wallet(20).address
        with DevChain(state=state) as chain:
            connection = chain.connect()
            genesis = connection.genesis
            connection.rpc("anvil_setBalance", address, "0x7b")
            connection.rpc("evm_mine")
            if brutally:
                before = state.stat().st_mtime_ns if state.exists() else 0
                for _ in range(500):
                    if state.exists() and state.stat().st_mtime_ns > before:
                        break
                    threading.Event().wait(0.02)
                before = state.stat().st_mtime_ns
                for _ in range(500):
                    if state.stat().st_mtime_ns > before:
                        break
                    threading.Event().wait(0.02)
                os.kill(pid_of(chain), signal.SIGKILL)
        with DevChain(state=state) as chain:
            connection = chain.connect()
            assert connection.balance(address) == 123
            assert connection.genesis == genesis
            assert connection.latest().number == 1

    def test_it_dies_with_a_parent_that_is_killed(self) -> None:
        code = """
import sys
from agents.chain.devchain import DevChain
chain = DevChain()
print(chain._process.pid, chain.url, flush=True)
sys.stdin.read()
"""
        parent = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        assert Connection.open(url).latest().number == 0
        parent.kill()
        parent.wait()
        until_dead(int(pid))

    def test_it_outlives_the_thread_that_started_it(self) -> None:
        chains: list[DevChain] = []
        thread = threading.Thread(target=lambda: chains.append(DevChain()))
        thread.start()
        thread.join()
        with chains[0] as chain:
            for _ in range(5):
                assert chain.connect().chain_id == 31337
                threading.Event().wait(0.02)


def test_no_anvil_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CAPEK_ANVIL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DevChainError, match="make setup"):
        DevChain()
    monkeypatch.setenv("CAPEK_ANVIL", sys.executable)
    with pytest.raises(DevChainError, match="did not start"):
        DevChain()
