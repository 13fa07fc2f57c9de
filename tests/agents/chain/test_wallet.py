import copy
import json
import logging
import os
import pickle
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from agents.chain.wallet import (
    NoPassword,
    NoSuchAccount,
    Wallet,
    WalletError,
    WrongPassword,
    address_of,
    aliases,
    keystore_folder,
)
from agents.protocol.messages import Acceptance, Domain, recover

ROUNDS = 2
KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


def test_a_new_account_is_private_and_loads_again() -> None:
    made = Wallet.create("alice", password="s3cret", rounds=ROUNDS)
    path = keystore_folder() / "alice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["alice.json"]
    assert Wallet.load("alice", password="s3cret").address == made.address == address_of("alice")
    assert aliases() == ["alice"]


def test_an_account_is_never_overwritten() -> None:
    made = Wallet.create("alice", password="a", rounds=ROUNDS)
    with pytest.raises(WalletError, match="already"):
        Wallet.create("alice", password="b", rounds=ROUNDS)
    assert Wallet.load("alice", password="a").address == made.address


@pytest.mark.parametrize("alias", ["", "../alice", "a/b", ".hidden", "-x", "alice.json"])
def test_a_name_that_is_no_file_name_is_refused(alias: str) -> None:
    with pytest.raises(WalletError, match="name"):
        Wallet.create(alias, password="x", rounds=ROUNDS)


def test_a_keyfile_as_ape_writes_it_opens_by_alias_and_by_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CAPEK_KEYSTORE")
    monkeypatch.setenv("APE_DATA_FOLDER", str(tmp_path / "ape"))
    folder = tmp_path / "ape" / "accounts"
    folder.mkdir(parents=True)
    path = folder / "bob.json"
    path.write_text(json.dumps(Account.encrypt(KEY, "pw", kdf="pbkdf2", iterations=ROUNDS)))
    assert Wallet.load("bob", password="pw").address == ADDRESS
    assert Wallet.load(str(path), password="pw").address == ADDRESS
    assert address_of("bob") == ADDRESS


def test_an_unknown_account_lists_those_that_exist() -> None:
    with pytest.raises(NoSuchAccount, match="none yet"):
        Wallet.load("carol", password="x")
    Wallet.create("alice", password="x", rounds=ROUNDS)
    Wallet.create("bob", password="x", rounds=ROUNDS)
    with pytest.raises(NoSuchAccount, match="no account carol .*: alice, bob"):
        Wallet.load("carol", password="x")


def test_a_wrong_password_says_so() -> None:
    Wallet.create("alice", password="right", rounds=ROUNDS)
    with pytest.raises(WrongPassword, match="wrong password for alice"):
        Wallet.load("alice", password="wrong")


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "{}", '{"version": 3}', '{"version": 3, "crypto": {}}']
)
def test_a_file_that_is_no_keystore_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(WalletError, match="bad.json"):
        Wallet.load(str(path), password="x")


def test_the_password_comes_from_argument_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Wallet.create("alice", password="p w ", rounds=ROUNDS)
    file = tmp_path / "password"
    file.write_text("p w \n")
    file.chmod(0o600)
    assert Wallet.load("alice", password_file=file)
    monkeypatch.setenv("CAPEK_PASSWORD", "wrong")
    monkeypatch.setenv("CAPEK_PASSWORD_FILE", str(file))
    with pytest.raises(WrongPassword):
        Wallet.load("alice")
    assert Wallet.load("alice", password_file=file), "what was named on the command line comes first"
    monkeypatch.delenv("CAPEK_PASSWORD")
    assert Wallet.load("alice")
    monkeypatch.setenv("CAPEK_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(NoPassword, match="none"):
        Wallet.load("alice")


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    Wallet.create("alice", password="x", rounds=ROUNDS)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(NoPassword, match="CAPEK_PASSWORD_FILE"):
        Wallet.load("alice")


def test_files_that_others_can_read_are_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Wallet.create("alice", password="x", rounds=ROUNDS)
    file = tmp_path / "password"
    file.write_text("x")
    with caplog.at_level(logging.WARNING):
        file.chmod(0o600)
        Wallet.load("alice", password_file=file)
        assert not caplog.records
        (keystore_folder() / "alice.json").chmod(0o644)
        file.chmod(0o640)
        Wallet.load("alice", password_file=file)
    assert [r.getMessage().split()[0] for r in caplog.records] == ["keystore", "password"]


def test_a_wallet_never_shows_its_key() -> None:
    wallet = Wallet(KEY)
    for shown in (repr(wallet), str(wallet), f"{wallet}", str(dir(wallet))):
        assert KEY.hex() not in shown
        assert repr(KEY) not in shown
    assert not hasattr(wallet, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            copied(wallet)
    with pytest.raises(WalletError) as bad:
        Wallet(b"\x01" * 31)
    assert "01" * 31 not in str(bad.value)
    assert bad.value.__suppress_context__


def test_it_signs_messages_transactions_and_text() -> None:
    wallet = Wallet(KEY)
    domain = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
    message = Acceptance(job_hash=b"\x07" * 32, expires=99)
    assert recover(domain, message, wallet.sign_message(domain, message)) == ADDRESS
    text = wallet.sign_text(b"hello")
    assert Account.recover_message(encode_defunct(b"hello"), signature=text) == ADDRESS
    tx = {"type": 2, "chainId": 1, "nonce": 0, "to": ADDRESS, "value": 1, "data": b"", "gas": 21000}
    signed = wallet.sign_transaction(tx | {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1})
    assert Account.recover_transaction(signed.raw) == ADDRESS
