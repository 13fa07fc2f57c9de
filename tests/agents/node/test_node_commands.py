"""`agent node …` as a user types it, on a real chain."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from market_stage import MILLION, OPERATOR, TERMS, TRAINER, Stage

from agents.chain.devchain import dev_wallet
from agents.chain.lock import lock_key
from agents.chain.wallet import Wallet
from agents.node.commands import node

Typed = Callable[..., Result]
PASSWORD = "correct horse"


@pytest.fixture
def owner(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Wallet:
    monkeypatch.setenv("CAPEK_PASSWORD", PASSWORD)
    monkeypatch.setenv("CAPEK_RPC_URL", stage.url)
    monkeypatch.setenv("CAPEK_DEPLOYMENT", str(stage.deployment))
    monkeypatch.setenv("CAPEK_NODE_POLL_SECONDS", "0.02")
    wallet = Wallet.create("mynode", password=PASSWORD, rounds=2)
    stage.connection.rpc("anvil_setBalance", wallet.address, hex(10**19))
    return wallet


@pytest.fixture
def typed(owner: Wallet) -> Typed:
    def run(*words: str, account: str = "mynode") -> Result:
        return CliRunner().invoke(node, [*words, "--account", account])

    return run


def _fine(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.stdout


def test_a_node_from_registration_to_its_last_coin(stage: Stage, owner: Wallet, typed: Typed) -> None:
    model = f"{dev_wallet(TRAINER).address}/smollm2"
    early = typed("stake", "--model", model)
    assert "agent node register" in str(early.exception)
    _fine(typed("register", "--endpoint", "https://node.example.org/"))
    found = json.loads(_fine(typed("register", "--endpoint", "https://node.example.org", "--json")))
    assert found["transactions"] == []  # all was as wanted
    assert found["endpoint"] == "https://node.example.org"
    assert found["operator"] == owner.address
    key = _fine(typed("key")).strip()
    assert found["encryptionKey"] == key

    short = typed("stake", "--model", model, "--jobs", "3")
    assert "30 DevUSD short" in str(short.exception)
    assert owner.address in str(short.exception)
    stage.fund(owner.address, 25 * MILLION)
    short = typed("stake", "--model", model, "--jobs", "3")
    assert "5 DevUSD short" in str(short.exception)
    stage.fund(owner.address, 5 * MILLION)
    found = json.loads(_fine(typed("stake", "--model", model, "--jobs", "3", "--json")))
    assert (found["free"], found["jobs"]) == (str(30 * MILLION), 3)
    assert len(found["transactions"]) == 4
    assert "nothing to do" in _fine(typed("stake", "--model", model, "--jobs", "2"))

    status = json.loads(_fine(typed("status", "--model", model, "--json")))
    assert status["registered"] is True
    assert status["provisions"][str(stage.model_id)]["jobs"] == 3
    assert status["health"] is None
    assert "room for 3 jobs" in _fine(typed("status", "--model", model))

    too_much = typed("unstake", "--model", model, "--thaw", "--amount", str(31 * MILLION))
    assert "30 DevUSD of this provision are free" in str(too_much.exception)
    _fine(typed("unstake", "--model", model, "--thaw"))
    early = typed("unstake", "--model", model, "--deprovision")
    assert "thawed in" in str(early.exception)
    stage.pass_time(TERMS.thaw_period + 1)
    _fine(typed("unstake", "--model", model, "--deprovision"))
    assert "30 DevUSD in" in _fine(typed("unstake"))
    assert stage.market.balance(owner.address) == 30 * MILLION
    # What lies in the Vault is used before tokens are asked for.
    found = json.loads(_fine(typed("stake", "--model", model, "--jobs", "1", "--json")))
    assert len(found["transactions"]) == 2
    assert stage.market.balance(owner.address) == 20 * MILLION


def test_an_operator_of_its_own(stage: Stage, owner: Wallet, typed: Typed) -> None:
    operator = dev_wallet(OPERATOR)
    key = "0x" + "ab" * 32
    _fine(typed("register", "--operator", operator.address, "--encryption-key", key))
    found = stage.market.node(owner.address)
    assert (found.operator, found.encryption_key, found.endpoint) == (operator.address, b"\xab" * 32, "")
    bad = typed("register", "--encryption-key", "0x12")
    assert "64 hex digits" in str(bad.exception)
    refused = typed("run", "--model", str(stage.model_id), "--port", "0")
    assert f"has operator {operator.address}" in str(refused.exception)


def test_a_node_that_is_not_registered_does_not_run(stage: Stage, typed: Typed) -> None:
    refused = typed("run", "--model", str(stage.model_id), "--port", "0")
    assert "is not registered" in str(refused.exception)
    assert "agent node register" in str(refused.exception)


def test_a_key_in_use_is_left_alone(stage: Stage, owner: Wallet, typed: Typed) -> None:
    lock = lock_key(stage.market.chain_id, owner.address)
    try:
        refused = typed("register")
        assert "a running node has its key to itself" in str(refused.exception)
    finally:
        lock.close()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "nonsense!"), "names no model"),
        (("--model", "smollm2"), "may be anybody's model"),
        (("--port", "99999999"), "CAPEK_NODE_PORT"),
        (("--endpoint", "ftp://x"), "CAPEK_NODE_ENDPOINT"),
        (("--rpc-url", "ftp://x"), "http:// or https://"),
        (("--deployment", "/nowhere.json"), "no deployment"),
        (("--password-file", "/nowhere"), "can't read password file"),
    ],
)
def test_wrong_settings_are_named(typed: Typed, flags: tuple[str, ...], words: str) -> None:
    result = typed("run", *flags)
    assert result.exit_code != 0
    assert words in str(result.exception)


def test_no_account_and_no_such_account(typed: Typed) -> None:
    assert "no account nobody" in str(typed("stake", "--model", "5", account="nobody").exception)
    Wallet.create("another", password=PASSWORD, rounds=2)
    result = CliRunner().invoke(node, ["run", "--model", "5"])
    assert "--account" in str(result.exception)
    assert "another, mynode" in str(result.exception)


@pytest.mark.parametrize("verb", ["run", "register", "stake", "unstake", "status", "key"])
def test_help_has_examples(verb: str) -> None:
    text = CliRunner().invoke(node, [verb, "--help"]).output
    assert f"agent node {verb} --" in text
