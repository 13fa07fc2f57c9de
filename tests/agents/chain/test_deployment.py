import functools
import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chain_support import Anvil
from web3 import Web3

from agents.chain import deployment as module
from agents.chain.compiled import load_artifact
from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.chain.court_config import CourtSettings
from agents.chain.deploy_config import ConfigError, DeploymentConfig
from agents.chain.deployment import Deployment, DeploymentError, deploy
from agents.chain.devchain import DevChain, dev_wallet
from agents.chain.errors import NoContract, RpcFault, WrongChain
from agents.chain.outbox import OutboxSettings, OutOfGasMoney
from agents.chain.paths import chain_home
from agents.chain.reverts import Reverts
from agents.protocol.messages import domain_separator

FOLDER = Path(__file__).parents[3] / "deployments"
CONFIG = DeploymentConfig()
WITH_COURT = DeploymentConfig(court=CourtSettings(), dispute_limit=900)
FAST = OutboxSettings(poll=0.01)


def run(anvil: Anvil, path: Path, config: DeploymentConfig = CONFIG, index: int = 0) -> Deployment:
    return deploy(Connection.open(anvil.url), dev_wallet(index), config, path, settings=FAST)


@pytest.fixture
def anvil(anvil: Anvil) -> Anvil:
    anvil.automine(True)
    return anvil


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deployments" / "31337.json"


def test_everything_is_deployed_wired_and_read_back(anvil: Anvil, path: Path) -> None:
    done = run(anvil, path)
    loaded = Deployment.load(path, anvil.connection)
    assert loaded == done
    loaded.check(anvil.connection)
    assert set(done.contracts) == {
        "Token", "Vault", "NodeRegistry", "BlockHashRandomness", "EpochRewards", "TuningTasks",
        "TuningGovernor", "ModelRegistry", "ModelToken", "JobEscrow",
    }  # fmt: skip
    vault = loaded.contract(anvil.connection, "Vault")
    assert vault.call("token") == loaded.address("Token")
    assert bytes(vault.call("domainSeparator")) == domain_separator(loaded.domain)
    assert loaded.contract(anvil.connection, "Token").call("symbol") == "DevUSD"
    assert done.contracts["JobEscrow"].args["c"]["challengeWindow"] == CONFIG.challenge_window
    assert done.contracts["NodeRegistry"].args == {
        "vault": done.address("Vault"),
        "thawPeriod": CONFIG.thaw_period,
    }
    for deployed in done.contracts.values():
        assert deployed.block is not None
        assert deployed.tx is not None
        assert deployed.block >= done.block
        receipt = anvil.connection.receipt(bytes.fromhex(deployed.tx[2:]))
        assert receipt is not None
        assert receipt.block_number == deployed.block
    assert list(chain_home(31337).glob("deploy-*")) == [], "nothing is left to resume"


def test_again_is_the_same_deployment(anvil: Anvil, path: Path) -> None:
    first = run(anvil, path)
    nonce = anvil.connection.nonce(dev_wallet(0).address)
    assert run(anvil, path) == first
    assert anvil.connection.nonce(dev_wallet(0).address) == nonce
    beside = run(anvil, path.with_name("other.json"))
    assert beside.address("Vault") != first.address("Vault")


class DieAt:
    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, _: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(9)


def in_child(job: Callable[[], Any]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            job()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_resumes_from_every_point(anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_outbox, real_save = module.Outbox, Deployment.save

    def with_edge(path: Path, edge: Callable[[str], None]) -> None:
        def save(self: Deployment, where: Path) -> None:
            edge("checked")
            real_save(self, where)
            edge("saved")

        with monkeypatch.context() as m:
            m.setattr(module, "Outbox", functools.partial(real_outbox, edge=edge))
            m.setattr(Deployment, "save", save)
            run(anvil, path, WITH_COURT, index=1)

    edges: list[str] = []
    with_edge(tmp_path / "calm.json", edges.append)
    assert edges[-2:] == ["checked", "saved"]
    # Every point of the first two contracts, then every seventh, and the last ones.
    points = sorted({*range(1, 14), *range(14, len(edges), 7), *range(len(edges) - 4, len(edges) + 1)})
    for n in points:
        path = tmp_path / f"{n}.json"
        nonce = anvil.connection.nonce(dev_wallet(1).address)
        assert in_child(lambda p=path, n=n: with_edge(p, DieAt(n))) == 9
        done = run(anvil, path, WITH_COURT, index=1)
        done.check(anvil.connection)
        assert anvil.connection.nonce(dev_wallet(1).address) == nonce + 12, f"point {n}: {edges[n - 1]}"
        court = done.address("DisputeCourt")
        assert done.contract(anvil.connection, "Vault").call("balanceOf", court) == 1
        assert not list(chain_home(31337).glob("deploy-*"))


def test_it_resumes_after_sigkill(anvil: Anvil, path: Path) -> None:
    for delay in (0.05, 0.1, 0.2, 0.3, 0.4):
        pid = os.fork()
        if pid == 0:
            try:
                run(anvil, path)
            finally:
                os._exit(0)
        threading.Event().wait(delay)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    run(anvil, path).check(anvil.connection)
    assert anvil.connection.nonce(dev_wallet(0).address) == 8


def test_a_restarted_local_chain_is_deployed_anew(path: Path, anvil: Anvil) -> None:
    run(anvil, path)
    with DevChain() as fresh:
        connection = fresh.connect()
        with pytest.raises(NoContract, match="restarted needs a new deployment"):
            Deployment.load(path, connection)
        done = deploy(connection, dev_wallet(3), CONFIG, path, settings=FAST)
        assert connection.code(done.address("Vault"))
        assert Deployment.load(path, connection) == done


def test_a_deployment_on_another_chain_is_refused(path: Path, anvil: Anvil) -> None:
    run(anvil, path)
    with DevChain(chain_id=1337) as other:
        with pytest.raises(WrongChain, match="expected 31337, got 1337"):
            Deployment.load(path, other.connect())
        with pytest.raises(WrongChain):
            deploy(other.connect(), dev_wallet(0), CONFIG, path.with_name("x.json"))


def test_another_configuration_does_not_overwrite(path: Path, anvil: Anvil) -> None:
    run(anvil, path)
    before = path.read_text()
    with pytest.raises(DeploymentError, match="another configuration: move it away"):
        run(anvil, path, CONFIG.model_copy(update={"penalty": 11_000_000}))
    assert path.read_text() == before


def test_a_changed_configuration_after_an_interruption_is_what_counts(
    path: Path, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Deployment, where: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        m.setattr(Deployment, "save", broken)
        run(anvil, path)
    changed = CONFIG.model_copy(update={"thaw_period": 7200})
    done = run(anvil, path, changed)
    assert done.contract(anvil.connection, "NodeRegistry").call("thawPeriod") == 7200
    assert anvil.connection.nonce(dev_wallet(0).address) == 8 + 4, "what did not change was kept"


def test_an_existing_token_is_used(path: Path, anvil: Anvil) -> None:
    token = run(anvil, path).address("Token")
    config = CONFIG.model_copy(update={"token": token.lower()})
    done = run(anvil, path.with_name("second.json"), config)
    assert done.address("Token") == token
    assert done.contracts["Token"].tx is None
    assert done.contract(anvil.connection, "Vault").call("token") == token
    Deployment.load(path.with_name("second.json"), anvil.connection).check(anvil.connection)


def test_a_token_that_is_unfit_is_refused_before_anything_is_sent(path: Path, anvil: Anvil) -> None:
    config = CONFIG.model_copy(update={"token": Web3.to_checksum_address("0x" + "12" * 20)})
    with pytest.raises(DeploymentError, match="no ERC-20"):
        run(anvil, path, config)
    other = run(anvil, path)
    model_token = other.address("ModelToken")  # 18 decimals
    with pytest.raises(DeploymentError, match="has 18 decimals"):
        run(anvil, path.with_name("x.json"), CONFIG.model_copy(update={"token": model_token}))
    assert anvil.connection.nonce(dev_wallet(0).address) == 8


def test_what_is_on_chain_is_compared_with_what_it_should_be(path: Path, anvil: Anvil) -> None:
    done = run(anvil, path)
    code = anvil.connection.code(done.address("NodeRegistry"))
    anvil.rpc("anvil_setCode", done.address("NodeRegistry"), "0x" + (code[:-1] + b"\xff").hex())
    with pytest.raises(DeploymentError, match="is not the NodeRegistry of this version"):
        run(anvil, path)
    anvil.rpc("anvil_setCode", done.address("NodeRegistry"), "0x" + code.hex())
    done.check(anvil.connection)
    other = run(anvil, path.with_name("other.json"), CONFIG.model_copy(update={"thaw_period": 5000}))
    mixed = Deployment(
        done.chain_id, done.block, done.config,
        {**done.contracts, "NodeRegistry": other.contracts["NodeRegistry"]},
    )  # fmt: skip
    with pytest.raises(DeploymentError, match="NodeRegistry.vault is .*, not"):
        mixed.check(anvil.connection)


def test_without_money_it_says_so_and_goes_on_later(path: Path, anvil: Anvil) -> None:
    address = dev_wallet(2).address
    anvil.set_balance(address, 10**15)
    with pytest.raises(OutOfGasMoney, match=f"send at least that to {address}"):
        run(anvil, path, index=2)
    assert not path.exists()
    anvil.set_balance(address, 10**18)
    run(anvil, path, index=2).check(anvil.connection)
    assert anvil.connection.nonce(address) == 8


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "capek-deployment/9"}', "null"])
def test_a_file_that_is_no_deployment(tmp_path: Path, anvil: Anvil, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DeploymentError, match="bad.json is no deployment"):
        Deployment.load(path, anvil.connection)
    with pytest.raises(DeploymentError, match="ape run deploy"):
        Deployment.load(tmp_path / "none.json", anvil.connection)


def test_the_committed_configurations_are_valid() -> None:
    for chain_id in (31337, 11155111, 84532):
        config = DeploymentConfig.for_chain(FOLDER, chain_id)
        assert config.chain_id == chain_id
        assert (config.token is None) == (chain_id == 31337)
        if config.token:
            assert Web3.is_checksum_address(config.token)
        assert config.court is not None
    with pytest.raises(ConfigError, match="chainId 5; found none"):
        DeploymentConfig.for_chain(FOLDER, 5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"chainId": 11155111}, "token is missing"),
        ({"thawPeriod": 1680}, "thawPeriod must exceed"),
        ({"missPenalty": 10_000_001}, "missPenalty"),
        ({"winnerShare": 5001}, "winnerShare"),
        ({"penalty": 2**72}, "penalty"),
        ({"penalty": "10"}, "penalty"),
        ({"challengeWindow": 0}, "challengeWindow"),
        ({"colour": 1}, "colour"),
        ({"token": "0x12"}, "token"),
    ],
)
def test_a_bad_configuration_names_its_field(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "config.x.json"
    path.write_text(json.dumps(CONFIG.to_json() | change))
    with pytest.raises(ConfigError, match=why):
        DeploymentConfig.load(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"firstSeats": 2}, "court.firstSeats"),
        ({"firstSeats": 4}, "firstSeats must be odd"),
        ({"appealSeats": 4}, "appealSeats must be odd"),
        ({"appealSeats": 17}, "court.appealSeats"),
        ({"firstSeats": 7, "appealQuorum": 4}, "appealSeats must be firstSeats at least"),
        ({"appealQuorum": 1}, "court.appealQuorum"),
        ({"appealQuorum": 4}, "appealQuorum must be 2 to 3"),
        ({"firstSeats": 5, "appealQuorum": 2}, "appealQuorum must be 3 to 3"),
        ({"appealShare": 5001}, "court.appealShare"),
        ({"appealShare": 0}, "seatStake is too small"),
        ({"seatStake": 0}, "court.seatStake"),
        ({"seatStake": 2_353_799, "silentFine": 2_000_000}, "seatStake is too small"),
        ({"silentFine": 313_840}, "silentFine must exceed"),
        ({"silentFine": 10_000_001}, "silentFine must exceed"),
        ({"seatFeePerToken": 1_000}, "silentFine must exceed"),
        ({"period": 0}, "court.period"),
        ({"drawWindow": 30 * 86_400 + 1}, "court.drawWindow"),
        ({"commitWindow": 0}, "court.commitWindow"),
        ({"revealWindow": 0}, "court.revealWindow"),
        ({"appealWindow": 361}, "disputeLimit must exceed the 901 s"),
        ({"randomnessDelay": 65}, "court.randomnessDelay"),
        ({"nodeFee": 2_489_281}, "penalty is too small"),
        ({"colour": 1}, "court.colour"),
        ({"periodLength": 60}, "court.periodLength"),
    ],
)
def test_a_bad_court_names_its_field_before_anything_is_sent(
    tmp_path: Path, change: dict[str, int], why: str
) -> None:
    path, good = tmp_path / "config.x.json", WITH_COURT.to_json()
    assert isinstance(good["court"], dict)
    path.write_text(json.dumps(good | {"court": good["court"] | change}))
    with pytest.raises(ConfigError, match=why):
        DeploymentConfig.load(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"appeal_quorum": 4}, "appealQuorum"),
        ({"silent_fine": 313_840}, "silentFine"),
        ({"seat_stake": 2_353_799, "silent_fine": 2_000_000}, "seatStake"),
        ({"appeal_seats": 4}, "appealSeats"),
        ({"draw_window": 30 * 86_400 + 1}, "drawWindow"),
    ],
)
def test_the_court_has_the_same_bounds(anvil: Anvil, path: Path, change: dict[str, int], field: str) -> None:
    """What the settings refuse, the contract refuses; the last that they take, it takes."""
    assert WITH_COURT.court is not None
    done = run(anvil, path)
    ours = {name: deployed.address for name, deployed in done.contracts.items()}

    def create(court: CourtSettings) -> None:
        args = court.as_tuple(ours["Vault"], ours["NodeRegistry"], ours["Token"])
        artifact = load_artifact("DisputeCourt")
        factory = anvil.connection.w3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
        data = factory.constructor(args).data_in_transaction
        anvil.connection.rpc("eth_estimateGas", {"from": dev_wallet(0).address, "data": data})

    create(WITH_COURT.court)
    create(WITH_COURT.court.model_copy(update={"silent_fine": 313_841}))
    create(WITH_COURT.court.model_copy(update={"seat_stake": 2_353_800, "silent_fine": 2_000_000}))
    with pytest.raises(RpcFault) as refused:
        create(WITH_COURT.court.model_copy(update=change))
    reason = Reverts().of(refused.value)
    assert reason is not None
    assert (reason.name, reason.args_by_name) == ("BadConfig", {"field": field})


def test_a_court_is_deployed_wired_read_back_and_seeded(anvil: Anvil, path: Path) -> None:
    done = run(anvil, path, WITH_COURT)
    assert Deployment.load(path, anvil.connection) == done
    assert {"BlockHashRandomness", "DisputeCourt"} < set(done.contracts)
    court = done.contract(anvil.connection, "DisputeCourt")
    assert WITH_COURT.court is not None
    assert court.call("longest") == WITH_COURT.court.longest
    assert court.call("highestCost") == WITH_COURT.court.highest_cost
    assert court.call("config").randomness == done.address("BlockHashRandomness")
    assert done.contract(anvil.connection, "JobEscrow").call("config").court == court.address
    assert done.contract(anvil.connection, "Vault").call("balanceOf", court.address) == 1
    args = done.contracts["DisputeCourt"].args["c"]
    for field, value in WITH_COURT.court.model_dump(by_alias=True).items():
        if field != "randomnessDelay":
            assert args[field] == value
    assert run(anvil, path, WITH_COURT) == done, "again is the same"
    assert done.contract(anvil.connection, "Vault").call("balanceOf", court.address) == 1


def test_reading_back_sees_another_court(anvil: Anvil, path: Path) -> None:
    done = run(anvil, path, WITH_COURT)
    other = run(
        anvil, path.with_name("other.json"), WITH_COURT.model_copy(update={"court": CourtSettings(period=31)})
    )
    mixed = replace(done, contracts={**done.contracts, "DisputeCourt": other.contracts["DisputeCourt"]})
    with pytest.raises(DeploymentError, match=r"JobEscrow\.config\.court is "):
        mixed.check(anvil.connection)
    with pytest.raises(DeploymentError, match=r"DisputeCourt\.config\.period is 30, not 31"):
        replace(done, config=WITH_COURT.model_copy(update={"court": CourtSettings(period=31)})).check(
            anvil.connection
        )


def test_a_court_where_the_token_is_not_ours(anvil: Anvil, tmp_path: Path) -> None:
    token = run(anvil, tmp_path / "first.json").address("Token")
    config = WITH_COURT.model_copy(update={"token": token})
    poor = run(anvil, tmp_path / "poor.json", config, index=1)
    vault = poor.contract(anvil.connection, "Vault")
    assert vault.call("balanceOf", poor.address("DisputeCourt")) == 0
    anvil.connection.w3.eth.send_transaction(
        {
            "from": dev_wallet(2).address,
            "to": token,
            "data": Contract(anvil.connection, "DevUSD", token).data("faucet", dev_wallet(2).address, 5),
        }
    )
    rich = run(anvil, tmp_path / "rich.json", config, index=2)
    vault = rich.contract(anvil.connection, "Vault")
    assert vault.call("balanceOf", rich.address("DisputeCourt")) == 1


def test_a_chain_that_forgets_its_blocks_too_early(tmp_path: Path) -> None:
    with DevChain(chain_id=999, extra=("--timestamp", "1800000000")) as chain:
        connection = chain.connect()
        token = dev_wallet(5).address
        config = WITH_COURT.model_copy(update={"chain_id": 999, "token": token})
        connection.rpc("evm_increaseTime", 1)
        connection.rpc("anvil_mine", hex(1000), "0x0")  # a block in less than 60 / 8191 s
        with pytest.raises(DeploymentError, match=r"court\.drawWindow is 60 s"):
            deploy(connection, dev_wallet(0), config, tmp_path / "999.json", settings=FAST)
        assert connection.nonce(dev_wallet(0).address) == 0
        connection.rpc("anvil_mine", hex(1000), "0xc")
        with pytest.raises(DeploymentError, match="no ERC-20"):  # it went on
            deploy(connection, dev_wallet(0), config, tmp_path / "999.json", settings=FAST)


def test_the_escrows_configuration_is_in_the_contracts_order(anvil: Anvil, path: Path) -> None:
    """Were two fields of one type swapped, reading back would not see it; the ABI's names do."""
    inputs = next(load_artifact("JobEscrow").entries("constructor"))["inputs"][0]["components"]
    args = run(anvil, path).contracts["JobEscrow"].args["c"]
    for field in ("penalty", "missPenalty", "winnerShare", "deliveryFee", "deliveryFeePerToken",
                  "challengeWindow", "deliveryWindow", "disputeLimit", "maxJobTime"):  # fmt: skip
        assert args[field] == CONFIG.to_json()[field]
    assert [i["name"] for i in inputs][:5] == ["vault", "nodes", "models", "governor", "court"]
