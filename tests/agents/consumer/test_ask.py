"""Asking honest nodes: what is paid, to whom, and how it is shown."""

import json
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from consumer_stage import CLIENT, INPUT_PRICE, MILLION, OUTPUT_PRICE, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.market.reads import Status

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def balance(stage: Stage, index: int = CLIENT) -> int:
    return stage.market.balance(dev_wallet(index).address)


def test_an_accepted_answer_pays_node_and_model_and_returns_the_rest(
    stage: Stage, node: Nodes, agent: Agent, home: Path, own_model: None
) -> None:
    double, before = node(), balance(stage)
    ran = agent("ask", "What is 2+2?", "--max-tokens", "40", "--json")
    assert ran.code == 0, ran.err
    found, price = ran.json, ran.json["price"]
    assert found["verdict"]["mode"] == "exact"
    assert found["verdict"]["max_margin"] == 0
    assert found["outcome"] == "paid"
    assert found["text"].strip()
    assert found["finish"] == "end"
    payment = -(-(found["promptTokens"] * INPUT_PRICE + found["outputTokens"] * OUTPUT_PRICE) // MILLION)
    assert int(price["payment"]) == payment == int(price["node"]) + int(price["treasury"])
    assert int(price["back"]) == int(price["ceiling"]) - payment > 0
    assert balance(stage) == before - payment
    assert stage.market.balance(double.wallet.address) == int(price["node"])
    assert stage.market.model_fees(stage.model_id) == int(price["treasury"])
    assert set(found["transactions"]) == {"open", "approve"}
    held, owed = stage.ledger()
    assert held == owed
    (journal,) = (home / str(stage.market.chain_id) / "accounts").glob("*.sqlite")
    assert journal.stat().st_mode & 0o777 == 0o600


def test_the_report_says_everything_a_person_wants_to_know(stage: Stage, node: Nodes, agent: Agent) -> None:
    double = node()
    how = ("--temperature", "0.8", "--top-p", "0.9", "--seed", "11", "--system", "Be brief.")
    ran = agent("ask", "Hello", *how)
    assert ran.code == 0, ran.err
    for part in (
        "Accepted", stage.model + "@0", double.wallet.address, "to the node", "to the model's treasury",
        "back to you", "DevUSD", "open     0x", "approve  0x",
    ):  # fmt: skip
        assert part in ran.out, part
    assert agent("ask", "Hello", "-q").out.count("\n") < 5


def test_a_node_without_our_bit_class_is_checked_by_the_tolerant_rule(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    node(bit_class=bytes(32))
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["verdict"]["mode"] == "tolerant"


def test_the_cheaper_node_is_asked_and_among_equals_the_one_of_our_class(
    stage: Stage, node: Nodes, agent: Agent, our_class: bytes
) -> None:
    other = node(bit_class=bytes(32))
    ours = node()
    assert agent("ask", "Hello", "--json").json["node"] == ours.wallet.address
    cheap = node(output_price=OUTPUT_PRICE // 2)
    assert agent("ask", "Hello", "--json").json["node"] == cheap.wallet.address
    ran = agent("ask", "Hello", "--node", other.wallet.address, "--json")
    assert ran.json["node"] == other.wallet.address
    ran = agent("ask", "Hello", "--node", other.wallet.address, "--exact")
    assert ran.code == 3
    assert "--exact" in ran.err


def test_what_is_not_approved_is_paid_when_its_window_has_closed(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double, before = node(), balance(stage)
    ran = agent("ask", "Hello", "--no-approve", "--json", "--max-tokens", "60")
    assert ran.code == 0
    job, price = bytes.fromhex(ran.json["job"][2:]), ran.json["price"]
    assert stage.market.job_status(job)[0] is Status.COMPLETED
    locked = [line for line in agent("money", "--json").json["lines"] if line["what"].startswith("job ")]
    assert [line["amount"] for line in locked] == [price["ceiling"]]
    assert agent("jobs", "--settle").code == 0
    assert stage.market.job_status(job)[0] is Status.COMPLETED, "an open window is left alone"
    stage.pass_time(61)
    assert "paid" in agent("jobs", "--settle").err
    assert balance(stage) == before - int(price["payment"])
    assert stage.market.balance(double.wallet.address) == int(price["node"])
    shown = agent("jobs", "--all", "--json").json["jobs"]
    assert [(j["status"], j["verdict"]["accepted"]) for j in shown] == [("paid", True)]


def test_a_question_can_come_from_stdin(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    assert agent("ask", "-", "--json", input="Hello\n").code == 0


def test_nothing_about_the_question_is_on_chain_or_in_the_outbox(
    stage: Stage, node: Nodes, agent: Agent, home: Path
) -> None:
    node()
    found = agent("ask", "Hello", "--json").json
    (journal,) = (home / str(stage.market.chain_id) / "accounts").glob("*.sqlite")
    with sqlite3.connect(journal) as db:
        secret, prompt = db.execute("SELECT secret, prompt FROM consumer_job").fetchone()
        calls = [row[0] for row in db.execute("SELECT data FROM outbox_intent")]
    assert len(calls) == 2
    assert not any(secret in data or prompt in data for data in calls)
    assert secret.hex() not in json.dumps(found)


def test_verify_repeats_the_check_from_the_journal_and_from_a_file(
    stage: Stage, node: Nodes, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    job = agent("ask", "Hello", "--json").json["job"]
    ran = agent("verify", job[:12], "--json")
    assert ran.code == 0
    assert (ran.json["accepted"], ran.json["mode"]) == (True, "exact")
    file = tmp_path / "job.json"
    assert agent("jobs", job, "--export", str(file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert agent("jobs", job, "--export", str(file)).code == 2, "nothing is overwritten"
    monkeypatch.setenv("CAPEK_RPC_URL", "http://127.0.0.1:9")
    assert "Accepted" in agent("verify", "--file", str(file)).out, "no chain is needed"
    drawn = agent("verify", "--file", str(file), "--explain").out
    assert "Accepted" in drawn
    assert "tokens 0 to" in drawn
    found = json.loads(file.read_text())
    found["output"][0] ^= 1
    file.write_text(json.dumps(found))
    ran = agent("verify", "--file", str(file))
    assert ran.code == 2
    assert "not the one the node committed to" in ran.err
    file.write_text("[]")
    assert agent("verify", "--file", str(file)).code == 2


def test_a_file_does_not_choose_who_is_called(
    stage: Stage, node: Nodes, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    job, file = agent("ask", "Hello", "--json").json["job"], tmp_path / "job.json"
    agent("jobs", job, "--export", str(file))
    called: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            called.append(self.path)
            self.send_error(404)

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = json.loads(file.read_text())
        found["peer"] = f"http://127.0.0.1:{server.server_port}/internal?do="
        found["model"] = "T/\x1b]0;owned\x07name@0"
        file.write_text(json.dumps(found))
        monkeypatch.setenv("CAPEK_STORE_DIR", str(tmp_path / "empty"))
        ran = agent("verify", "--file", str(file))
        server.shutdown()
    assert ran.code == 7, ran.err
    assert not called
    assert "\x1b" not in ran.err
