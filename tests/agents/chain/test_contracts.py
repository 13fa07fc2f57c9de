from pathlib import Path
from typing import Any

import pytest
from chain_support import FIXTURES, Anvil, key
from eth_utils.crypto import keccak
from web3.types import RPCEndpoint, RPCResponse

from agents.chain.compiled import FOLDER, Artifact, ArtifactError, all_artifacts, load_artifact
from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.chain.devchain import DevChain, dev_wallet
from agents.chain.errors import ChainUnreachable, NoContract, Reverted, RpcFault
from agents.chain.journal import Journal
from agents.chain.outbox import Outbox
from agents.chain.reverts import Reverts


def test_the_committed_artifacts_load() -> None:
    names = {artifact.name for artifact in all_artifacts()}
    assert {path.stem for path in FOLDER.glob("*.json")} == names
    assert {"Vault", "NodeRegistry", "ModelRegistry", "TuningGovernor", "JobEscrow", "DevUSD"} <= names


def test_a_missing_or_unlinked_artifact_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="make contracts"):
        load_artifact("Nothing", tmp_path)
    (tmp_path / "X.json").write_text(
        '{"contractName":"X","abi":[],"bytecode":"0x60__$a$__","deployedBytecode":"0x","immutables":[]}'
    )
    with pytest.raises(ArtifactError, match="linked"):
        load_artifact("X", tmp_path)


def test_code_is_compared_up_to_its_immutables(anvil: Anvil, probe: Contract) -> None:
    code = anvil.connection.code(probe.address)
    assert code != probe.artifact.runtime, "the owner is written into it"
    assert probe.artifact.matches(code)
    assert not probe.artifact.matches(b"")
    assert not probe.artifact.matches(code + b"\0")
    assert not probe.artifact.matches(code[:50] + bytes([code[50] ^ 1]) + code[51:])


def test_reading_gives_values_and_named_structs(probe: Contract) -> None:
    assert probe.call("owner") == dev_wallet(9).address
    note = probe.call("note")
    assert (note.number, note.text) == (0, "noted")


def test_reading_is_one_request(probe: Contract, anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection.open(anvil.url)
    asked, real = [], connection.w3.provider.make_request

    def counted(method: RPCEndpoint, params: Any) -> RPCResponse:
        asked.append(method)
        return real(method, params)

    monkeypatch.setattr(connection.w3.provider, "make_request", counted)
    assert Contract(connection, probe.artifact, probe.address).call("owner") == dev_wallet(9).address
    assert asked == ["eth_call"]


def test_a_custom_error_is_decoded_with_its_values(probe: Contract) -> None:
    with pytest.raises(Reverted, match=r"^Probe: Refused\(key=0x6a6f62(00)+, limit=0\)$") as e:
        probe.call("after_", key("job"))
    assert e.value.name == "Refused"
    assert e.value.args_by_name == {"key": key("job"), "limit": 0}


def test_other_refusals_are_readable(probe: Contract) -> None:
    with pytest.raises(Reverted, match="^Probe: panic 0x12: division by zero$"):
        probe.call("divide", 1, 0)
    assert str(probe.explain(None)) == "Probe: reverted without a reason"
    assert str(probe.explain("0xdeadbeef")) == "Probe: unknown error 0xdeadbeef"
    truncated = "0x08c379a0" + "00" * 31
    assert "unknown error" in str(probe.explain(truncated))


def test_an_error_from_a_deeper_contract_is_named_after_its_owner(probe_artifact: Artifact) -> None:
    with_two = Reverts([probe_artifact, *all_artifacts()])
    data = keccak(text="Refused(bytes32,uint256)")[:4]
    assert str(with_two.decode(data + bytes(64), "JobEscrow")).startswith("Probe: Refused(")


def test_an_error_that_several_contracts_share_is_named_after_the_one_called() -> None:
    data = keccak(text="NotVault(address)")[:4] + bytes(32)
    assert str(Reverts().decode(data, "NodeRegistry")).startswith("NodeRegistry: NotVault(caller=0x0000")
    assert str(Reverts().decode(data, "JobEscrow")).startswith("JobEscrow: NotVault(")


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (RpcFault("eth_call", 3, "execution reverted"), "Vault: execution reverted"),
        (RpcFault("eth_call", -32000, "VM Exception: revert"), "Vault: VM Exception: revert"),
        (RpcFault("eth_call", -32000, "header not found"), None),
        (RpcFault("eth_call", -32603, "internal error"), None),
    ],
)
def test_a_revert_is_told_from_trouble_with_the_rpc(fault: RpcFault, refusal: str | None) -> None:
    found = Reverts([]).of(fault, "Vault")
    assert (None if found is None else str(found)) == refusal


def test_an_address_without_the_contract(anvil: Anvil, probe_artifact: Artifact) -> None:
    nothing = Contract(anvil.connection, probe_artifact, dev_wallet(5).address)
    with pytest.raises(NoContract, match="is no Probe.*deployment"):
        nothing.call("total")


def test_logs_decode_and_foreign_ones_do_not(anvil: Anvil, probe: Contract, tmp_path: Path) -> None:
    anvil.automine(True)
    with Journal(tmp_path / "j.db") as journal, Outbox(journal, anvil.connection, dev_wallet(0)) as outbox:
        outbox.put("job", "mark", probe.address, probe.data("mark", key("job")))
        done = outbox.wait("job", "mark", 10)
    assert done.block_number is not None
    (log,) = anvil.connection.logs([probe.address], done.block_number, done.block_number)
    event = probe.decode(log)
    assert event is not None
    assert (event.name, event.contract, event.tx_hash) == ("Marked", "Probe", done.tx_hash)
    assert event.args["key"] == key("job")
    assert event.args["by"] == dev_wallet(0).address
    assert event.args["note"]["text"] == "noted"
    stranger = Contract(anvil.connection, load_artifact("Probe", FIXTURES), dev_wallet(5).address)
    assert stranger.decode(log) is None
    assert Contract(anvil.connection, "Vault", probe.address).decode(log) is None


def test_a_chain_that_went_away_is_said_to_be_unreachable(probe_artifact: Artifact) -> None:
    with DevChain() as chain:
        connection = Connection.open(chain.url, attempts=1)
        contract = Contract(connection, probe_artifact, dev_wallet(5).address)
    with pytest.raises(ChainUnreachable, match=chain.url):
        contract.call("total")
