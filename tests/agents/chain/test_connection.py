import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from chain_support import Anvil
from web3 import Web3

from agents.chain.connection import Connection, PatientProvider
from agents.chain.devchain import dev_wallet
from agents.chain.errors import ChainError, ChainUnreachable, RpcFault, WrongChain


class FlakyRpc:
    """An HTTP server that gives the answers of a list, then chain id 7."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body["method"])
                good = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": "0x7"}).encode()
                status, headers, text = outer.answers.pop(0) if outer.answers else (200, {}, good)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v3/SECRETKEY"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def rpc() -> Iterator[FlakyRpc]:
    server = FlakyRpc()
    yield server
    server.close()


def patient(url: str, slept: list[float], attempts: int = 4) -> Web3:
    return Web3(PatientProvider(url, timeout=5, attempts=attempts, sleep=slept.append))


def limited(text: str = "rate limit exceeded", code: int = -32005) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": text}}).encode()


def test_it_backs_off_when_rate_limited_and_goes_on(rpc: FlakyRpc) -> None:
    slept: list[float] = []
    rpc.answers = [(429, {"Retry-After": "9"}, b""), (200, {}, limited()), (503, {}, b"")]
    assert Connection(patient(rpc.url, slept)).chain_id == 7
    assert len(slept) == 3
    assert slept[0] == 9, "as long as the server asks"
    assert slept[2] > slept[1] > 0


def test_a_long_retry_after_is_cut(rpc: FlakyRpc) -> None:
    slept: list[float] = []
    rpc.answers = [(429, {"Retry-After": "86400"}, b"")]
    Connection(patient(rpc.url, slept))
    assert slept == [30]


def test_it_gives_up_with_what_to_do_and_without_the_api_key(rpc: FlakyRpc) -> None:
    slept: list[float] = []
    rpc.answers = [(502, {}, b"")] * 9
    with pytest.raises(ChainUnreachable, match="HTTP 502.*CAPEK_RPC_URL") as e:
        Connection(patient(rpc.url, slept))
    assert len(rpc.asked) == 4
    assert "SECRETKEY" not in str(e.value)
    assert rpc.url.split("/v3")[0] in str(e.value)


def test_nobody_there(unused_port: int) -> None:
    with pytest.raises(ChainUnreachable, match="agent devnet") as e:
        Connection(patient(f"http://127.0.0.1:{unused_port}/SECRETKEY", []))
    assert "SECRETKEY" not in str(e.value)


@pytest.fixture
def unused_port() -> int:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_port)


def test_a_refused_key_is_not_asked_again(rpc: FlakyRpc) -> None:
    rpc.answers = [(401, {}, b"")]
    with pytest.raises(ChainUnreachable, match="API key"):
        Connection(patient(rpc.url, []))
    assert len(rpc.asked) == 1


def test_an_answer_that_is_not_json_is_asked_again(rpc: FlakyRpc) -> None:
    rpc.answers = [(200, {}, b"<html>")]
    assert Connection(patient(rpc.url, [])).chain_id == 7


def test_what_must_not_run_twice_is_not_repeated(rpc: FlakyRpc) -> None:
    connection = Connection(patient(rpc.url, []))
    rpc.asked.clear()
    rpc.answers = [(503, {}, b"")]
    with pytest.raises(ChainUnreachable):
        connection.rpc("evm_mine")
    assert rpc.asked == ["evm_mine"]


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "127.0.0.1:8545", ""])
def test_an_address_that_is_no_http_address(url: str) -> None:
    with pytest.raises(ChainUnreachable, match="http://"):
        Connection.open(url)


def test_the_wrong_chain_is_refused(anvil: Anvil) -> None:
    with pytest.raises(WrongChain, match="wrong chain: expected 11155111, got 31337: set CAPEK_RPC_URL"):
        Connection.open(anvil.url, 11155111)
    assert Connection.open(anvil.url, 31337).chain_id == 31337


def test_chain_time_is_the_latest_blocks(anvil: Anvil) -> None:
    now = anvil.connection.time()
    anvil.rpc("evm_setNextBlockTimestamp", now + 1000)
    anvil.mine()
    assert anvil.connection.time() == now + 1000
    assert anvil.connection.block(10**9) is None


def test_json_rpc_errors_keep_code_and_data(anvil: Anvil) -> None:
    with pytest.raises(RpcFault) as e:
        anvil.rpc("eth_noSuchMethod")
    assert e.value.code == -32601
    assert e.value.method == "eth_noSuchMethod"


def test_balance_nonce_and_receipts(anvil: Anvil) -> None:
    address = dev_wallet(3).address
    anvil.set_balance(address, 123)
    assert anvil.connection.balance(address) == 123
    assert anvil.connection.nonce(address) == 0
    assert anvil.connection.receipt(b"\1" * 32) is None


@pytest.mark.parametrize("answer", [b"[]", b'"x"', b"{}", b'{"result": "zz"}', b'{"result": {"number": 1}}'])
def test_answers_of_another_form_are_no_crash(rpc: FlakyRpc, answer: bytes) -> None:
    connection = Connection(patient(rpc.url, [], attempts=1))
    for ask in (
        connection.latest,
        lambda: connection.nonce("0x" + "11" * 20),
        lambda: connection.logs([], 0, 1),
    ):
        rpc.answers = [(200, {}, answer)]
        with pytest.raises(ChainError):
            ask()
