"""Names, bad input, and what is missing: said clearly, before anything is paid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from consumer_stage import FEE, TRAINER, NodeDouble, Stage

from agents.chain.devchain import DevChain, dev_wallet
from agents.consumer.errors import Exit

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def fails(agent: Agent, code: Exit, *says: str, args: tuple[str, ...] = ("ask", "Hello")) -> None:
    ran = agent(*args)
    assert ran.code == code, ran.err
    for part in says:
        assert part in ran.err, ran.err
    assert "Traceback" not in ran.err


def register(stage: Stage, index: int, name: str) -> None:
    digest = stage.manifest.digest()
    stage.send(dev_wallet(index), stage.market.models, "register", name, "X", digest, FEE, 1)


def test_a_short_name_is_pinned_to_the_model_it_first_meant(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    ask = ("ask", "Hello", "--max-tokens", "1", "--json", "--model")
    assert agent(*ask, "smollm2").json["modelId"] == str(stage.model_id)
    register(stage, 7, "smollm2")
    assert agent(*ask, "smollm2@0").json["modelId"] == str(stage.model_id), "pinned"
    assert agent(*ask, hex(stage.model_id)).code == 0
    assert agent(*ask, str(stage.model_id)).code == 0


def test_an_ambiguous_name_is_listed_and_refused(stage: Stage, agent: Agent) -> None:
    register(stage, 7, "smollm2")
    full = (dev_wallet(TRAINER).address + "/smollm2", dev_wallet(7).address + "/smollm2")
    fails(agent, Exit.NO_MODEL, "2 models", *full, args=("ask", "Hello", "--model", "smollm2"))


def test_a_pinned_name_never_means_another_model(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    mark = stage.market.connection.rpc("evm_snapshot")
    register(stage, 7, "tiny")
    fails(agent, Exit.NO_NODE, "no node has staked", args=("ask", "Hello", "--model", "tiny"))
    stage.market.connection.rpc("evm_revert", mark)
    register(stage, 8, "tiny")
    fails(agent, Exit.NO_MODEL, "A name proves nothing", args=("ask", "Hello", "--model", "tiny"))


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--model", "nothing"), Exit.NO_MODEL, "no model called nothing"),
        (("--model", "12345"), Exit.NO_MODEL, "no model 12345"),
        (("--model", "smollm2@3"), Exit.NO_MODEL, "no version 3"),
        (("--model", "smollm2@0", "--version", "1"), Exit.BAD_INPUT, "give one of them"),
        (("--model", "what ever"), Exit.BAD_INPUT, "names no model"),
        (("--node", "0x12"), Exit.BAD_INPUT, "EIP-55"),
        (("--max-price", "-3"), Exit.BAD_INPUT, "not an amount"),
        (("--account", "nobody"), Exit.BAD_INPUT, "no account nobody"),
        (("--rpc-url", "http://127.0.0.1:9"), Exit.CHAIN, "no answer from http://127.0.0.1:9"),
        (("--rpc-url", "ftp://x"), Exit.CHAIN, "http"),
        (("--deployment", "/nowhere.json"), Exit.CHAIN, "no deployment"),
        (("--temperature", "-1"), Exit.BAD_INPUT, "temperature"),
    ],
)
def test_bad_input_is_told(
    stage: Stage, agent: Agent, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: Exit, says: str
) -> None:
    # One try is enough to see that nobody is there.
    monkeypatch.setattr("agents.chain.connection.PatientProvider.make_request", _impatient())
    fails(agent, code, says, args=("ask", "Hello", *args))


def _impatient() -> Callable[..., Any]:
    from agents.chain.connection import PatientProvider

    patient = PatientProvider.make_request

    def once(self: Any, method: Any, params: Any) -> Any:
        self._attempts = 1
        return patient(self, method, params)

    return once


def test_an_empty_question_and_one_longer_than_the_context(stage: Stage, node: Nodes, agent: Agent) -> None:
    double = node()
    fails(agent, Exit.BAD_INPUT, "empty", args=("ask", "  "))
    long = "word " * 9000
    fails(agent, Exit.BAD_INPUT, "8192", "Shorten the prompt", args=("ask", long))
    fails(agent, Exit.BAD_INPUT, "8192", args=("ask", "Hello", "--max-tokens", "8190"))
    assert "job" not in double.asked


def test_a_deployment_of_another_chain_is_refused(
    stage: Stage, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DevChain(chain_id=1337) as other:
        monkeypatch.setenv("CAPEK_RPC_URL", other.url)
        fails(agent, Exit.CHAIN, "wrong chain", "1337")
        fails(agent, Exit.CHAIN, "wrong chain", args=("money",))


def test_a_wrong_password_and_settings_that_make_no_sense(
    stage: Stage, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPEK_PASSWORD", "not this")
    fails(agent, Exit.BAD_INPUT, "wrong password")
    monkeypatch.setenv("CAPEK_PEERS", "ftp://x")
    fails(agent, Exit.BAD_INPUT, "CAPEK_PEERS")


def test_a_model_nobody_has_the_files_of(
    stage: Stage, node: Nodes, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_model: None
) -> None:
    node()
    monkeypatch.setenv("CAPEK_STORE_DIR", str(tmp_path / "empty"))
    fails(agent, Exit.NO_MODEL, "no manifest", "peer")


def test_check_says_what_is_missing_and_how_to_mend_it(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    ran = agent("check")
    assert ran.code == 0, ran.out
    for part in ("llama.cpp", "canonical/1", "Vault", "bit class", stage.model):
        assert part in ran.out
    monkeypatch.setenv("CAPEK_ACCOUNT", "nobody")
    monkeypatch.setenv("CAPEK_DEPLOYMENT", "/nowhere.json")
    ran = agent("check", "--json")
    assert ran.code == 1
    missing = {f["what"]: f["mend"] for f in ran.json["findings"] if not f["ok"]}
    assert set(missing) == {"deployment", "account"}
    assert all(missing.values())


def test_every_command_has_help_with_examples(agent: Agent) -> None:
    for command in ("ask", "jobs", "verify", "money", "deposit", "withdraw", "check", "trainer"):
        ran = agent(command, "--help")
        assert ran.code == 0
        assert f"agent {command}" in ran.out
        assert "Example" in ran.out
    for command in ("ask", "jobs", "verify"):
        assert "Exit codes" in agent(command, "--help").out
