"""Where a market's contracts are: `deployments/<chainId>.json`, and the deploying of them.

Deploying needs web3 and the committed artifacts, no compiler. It can die at any point: run it again and it
goes on.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.compiled import load_artifact
from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.chain.court_config import HISTORY_BLOCKS
from agents.chain.deploy_config import LOCAL_CHAINS, DeploymentConfig
from agents.chain.errors import ChainError, NoContract, Reverted
from agents.chain.journal import Journal
from agents.chain.outbox import Intent, Outbox, OutboxSettings
from agents.chain.paths import chain_home
from agents.chain.wallet import Signer
from agents.chain.wiring import (
    court_config,
    escrow_config,
    governor_config,
    named,
    rewards_config,
    tasks_config,
)
from agents.protocol.messages import Domain, domain_separator

log = logging.getLogger(__name__)

FORMAT = "capek-deployment/1"
_ARTIFACTS = {"Token": "DevUSD", "TuningCourt": "DisputeCourt"}
"""What is deployed under another name than its own."""
STEP_PATIENCE = 900.0
"""Seconds to wait for one contract to be mined."""


class DeploymentError(ChainError):
    """A deployment is missing, belongs elsewhere, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """One contract; `args` are its constructor's, by name; `tx` and `block` made it (None: not ours)."""

    address: str
    args: Mapping[str, Any]
    tx: str | None
    block: int | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """All contracts of one market on one chain. `block` is the first that can hold one of their logs."""

    chain_id: int
    block: int
    config: DeploymentConfig
    contracts: Mapping[str, Deployed]

    @classmethod
    def load(cls, path: Path, connection: Connection) -> "Deployment":
        """Read it, and check that it lies on this chain.

        Raises:
            WrongChain, DeploymentError, or NoContract (a local chain that was restarted).
        """
        try:
            found = json.loads(path.read_text())
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']}, not {FORMAT}")
            self = cls(
                chain_id=int(found["chainId"]),
                block=int(found["block"]),
                config=DeploymentConfig.model_validate(found["config"]),
                contracts={
                    name: Deployed(
                        Web3.to_checksum_address(entry["address"]),
                        dict(entry["args"]),
                        entry["tx"],
                        entry["block"],
                    )
                    for name, entry in found["contracts"].items()
                },
            )
        except FileNotFoundError:
            raise DeploymentError(
                f"no deployment {path}: deploy one (`ape run deploy --network …`, or `agent devnet` for a "
                "local chain), or get the file from whom you trust"
            ) from None
        except (OSError, KeyError, TypeError, ValueError) as e:
            raise DeploymentError(f"{path} is no deployment ({e}): get it anew") from None
        connection.expect(self.chain_id)
        if not connection.code(self.address("Vault")):
            raise NoContract(
                f"{path} names a Vault at {self.address('Vault')}, and chain {self.chain_id} has nothing "
                "there: a local chain that was restarted needs a new deployment"
            )
        return self

    def address(self, name: str) -> str:
        """Raises DeploymentError when the deployment has no such contract."""
        try:
            return self.contracts[name].address
        except KeyError:
            raise DeploymentError(
                f"this deployment has no {name}; it has {', '.join(self.contracts)}"
            ) from None

    def contract(self, connection: Connection, name: str) -> Contract:
        """Bindings. `Token` is the payment token, whichever that is."""
        return Contract(connection, _ARTIFACTS.get(name, name), self.address(name))

    @property
    def domain(self) -> Domain:
        """What all messages of this market are signed for."""
        return Domain(self.chain_id, self.address("Vault"))

    def check(self, connection: Connection) -> None:
        """Read everything back: the code of each contract, and what each was built with.

        Raises:
            DeploymentError: something is not as it should be; says what.
        """
        connection.expect(self.chain_id)
        vault, token = self.address("Vault"), self.address("Token")
        for name in self.contracts:
            if name == "Token" and self.config.token is not None:
                continue  # not ours
            artifact = load_artifact(_ARTIFACTS.get(name, name))
            if not artifact.matches(connection.code(self.address(name))):
                raise DeploymentError(
                    f"the code at {self.address(name)} is not the {name} of this version: it was deployed by "
                    "another one; use that, or deploy anew"
                )
        registry = self.contract(connection, "ModelRegistry")
        escrow = self.contract(connection, "JobEscrow")
        addresses = {name: deployed.address for name, deployed in self.contracts.items()}
        config = escrow.call("config")._asdict()
        wanted = dict(zip(config, escrow_config(self.config, addresses), strict=True))
        facts: dict[str, tuple[object, object]] = {
            "Vault.token": (self.contract(connection, "Vault").call("token"), token),
            "Vault.domainSeparator": (
                bytes(self.contract(connection, "Vault").call("domainSeparator")),
                domain_separator(self.domain),
            ),
            "Token.decimals": (self.contract(connection, "Token").call("decimals"), 6),
            "NodeRegistry.vault": (self.contract(connection, "NodeRegistry").call("vault"), vault),
            "NodeRegistry.thawPeriod": (
                self.contract(connection, "NodeRegistry").call("thawPeriod"),
                self.config.thaw_period,
            ),
            "TuningGovernor.vault": (self.contract(connection, "TuningGovernor").call("vault"), vault),
            "TuningGovernor.models": (
                self.contract(connection, "TuningGovernor").call("models"),
                self.address("ModelRegistry"),
            ),
            "ModelRegistry.governor": (registry.call("governor"), self.address("TuningGovernor")),
            "ModelRegistry.tokenImplementation": (
                registry.call("tokenImplementation"),
                self.address("ModelToken"),
            ),
            "JobEscrow.vault": (escrow.call("vault"), vault),
            **{f"JobEscrow.config.{key}": (config[key], wanted[key]) for key in wanted},
        }
        for name, court in (("DisputeCourt", self.config.court), ("TuningCourt", self.config.tuning_court)):
            if court is None:
                continue
            found = self.contract(connection, name).call("config")._asdict()
            terms = zip(found, court_config(court, addresses), strict=True)
            facts |= {f"{name}.config.{key}": (found[key], value) for key, value in terms}
        for name, getter, made in (
            ("EpochRewards", "rewardsConfig", rewards_config(self.config, addresses)),
            ("TuningTasks", "tasksConfig", tasks_config(self.config, addresses)),
            ("TuningGovernor", "governorConfig", governor_config(self.config, addresses)),
        ):
            facts[f"{name}.{getter}"] = (tuple(self.contract(connection, name).call(getter)), made)
        facts["BlockHashRandomness.delay"] = (
            self.contract(connection, "BlockHashRandomness").call("delay"),
            _randomness_delay(self.config),
        )
        for what, (is_, expected) in facts.items():
            if is_ != expected:
                raise DeploymentError(f"{what} is {is_}, not {expected}: this is not what was to be deployed")

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        text = {
            "format": FORMAT,
            "chainId": self.chain_id,
            "block": self.block,
            "config": self.config.to_json(),
            "contracts": {
                name: {"address": d.address, "args": d.args, "tx": d.tx, "block": d.block}
                for name, d in self.contracts.items()
            },
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with draft.open("w") as file:
            json.dump(text, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def deploy(
    connection: Connection,
    signer: Signer,
    config: DeploymentConfig,
    path: Path,
    *,
    settings: OutboxSettings | None = None,
) -> Deployment:
    """Deploy everything, check it, and write `path`.

    Every step is in a journal before it is sent: after an interruption at any point the same call goes on,
    and deploys nothing twice. What `path` names already, with this configuration, is checked and kept.

    Raises:
        WrongChain: `config` is for another chain.
        DeploymentError: another deployment is at `path`, the payment token is unfit, the chain forgets its
            blocks before the court has drawn by them, or what lies on chain is not what was to be deployed.
        OutOfGasMoney, IntentTimeout: run it again.
    """
    connection.expect(config.chain_id)
    # By genesis, so that a restarted local chain begins anew; by path, so that two deployments do not share.
    tag = keccak(b"".join((connection.genesis, signer.address.encode(), bytes(path.resolve()))))[:8].hex()
    journal_path = chain_home(config.chain_id) / f"deploy-{tag}.db"
    done = _existing(connection, config, path)
    if done is None:
        _check_draw_window(connection, config)
        with Journal(journal_path) as journal, Outbox(journal, connection, signer, settings) as outbox:
            done = _Deployer(connection, outbox, config).run()
            done.check(connection)
            done.save(path)
    # From here on the file tells; should it be moved away, the next deployment starts afresh.
    for leftover in journal_path.parent.glob(journal_path.name + "*"):
        leftover.unlink(missing_ok=True)
    return done


def _existing(connection: Connection, config: DeploymentConfig, path: Path) -> Deployment | None:
    if not path.exists():
        return None
    try:
        there = Deployment.load(path, connection)
    except NoContract:
        if config.token is None:
            return None  # a local chain that was restarted
        raise
    if there.config != config:
        raise DeploymentError(
            f"{path} is a deployment with another configuration: move it away to deploy a new market"
        )
    there.check(connection)
    return there


def _check_draw_window(connection: Connection, config: DeploymentConfig) -> None:
    """A panel that is still to be drawn when its block is forgotten never is, and its challenger pays."""
    if config.court is None or config.chain_id in LOCAL_CHAINS:
        return  # a local chain makes blocks as fast as it is told to
    last = connection.latest()
    first = connection.block(max(0, last.number - HISTORY_BLOCKS))
    if first is None or first.number == last.number:
        return
    kept = HISTORY_BLOCKS * (last.timestamp - first.timestamp) // (last.number - first.number)
    if config.court.draw_window >= kept:
        raise DeploymentError(
            f"court.drawWindow is {config.court.draw_window} s, and this chain keeps the hashes of "
            f"{HISTORY_BLOCKS} blocks, {kept} s: make it shorter"
        )


def _randomness_delay(config: DeploymentConfig) -> int:
    """Both courts draw, and audits are drawn, by the same one."""
    courts = (court for court in (config.court, config.tuning_court) if court is not None)
    return max((court.randomness_delay for court in courts), default=2)


class _Deployer:
    def __init__(self, connection: Connection, outbox: Outbox, config: DeploymentConfig) -> None:
        self._connection = connection
        self._outbox = outbox
        self._config = config
        self._done: dict[str, Deployed] = {}

    def run(self) -> Deployment:
        config = self._config
        if config.token is None:
            self._create("Token", "DevUSD")
        else:
            self._adopt_token(config.token)
        vault = self._create("Vault", "Vault", self._done["Token"].address)
        self._create("NodeRegistry", "NodeRegistry", vault, config.thaw_period)
        self._create("BlockHashRandomness", "BlockHashRandomness", _randomness_delay(config))
        if config.tuning_court is not None:
            self._create("TuningCourt", "DisputeCourt", court_config(config.tuning_court, self._addresses()))
            self._seed_court("TuningCourt")
        self._create("EpochRewards", "EpochRewards", rewards_config(config, self._addresses()))
        self._create("TuningTasks", "TuningTasks", tasks_config(config, self._addresses()))
        terms = governor_config(config, self._addresses())
        governor = self._create("TuningGovernor", "TuningGovernor", terms)
        models = self._found_in("TuningGovernor", "models", "ModelRegistry", governor)
        self._found_in("ModelRegistry", "tokenImplementation", "ModelToken")
        if config.court is not None:
            self._create("DisputeCourt", "DisputeCourt", court_config(config.court, self._addresses()))
            self._seed_court("DisputeCourt")
        self._create("JobEscrow", "JobEscrow", escrow_config(config, self._addresses()))
        log.info("models are registered at %s", models)
        blocks = [d.block for d in self._done.values() if d.block is not None]
        return Deployment(config.chain_id, min(blocks), config, self._done)

    def _create(self, name: str, artifact_name: str, *args: Any) -> str:
        artifact = load_artifact(artifact_name)
        factory = self._connection.w3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
        code = bytes.fromhex(str(factory.constructor(*args).data_in_transaction)[2:])
        # Named after what is deployed: with another configuration or version it is another step.
        action = f"create {keccak(code).hex()[:16]}"
        self._outbox.put(name, action, None, code)
        log.info("deploying %s", name)
        created: Intent = self._outbox.wait(name, action, STEP_PATIENCE)
        assert created.contract is not None
        assert created.tx_hash is not None
        self._done[name] = Deployed(
            created.contract, named(artifact, args), "0x" + created.tx_hash.hex(), created.block_number
        )
        return created.contract

    def _seed_court(self, name: str) -> None:
        """Leave one base unit in the court's account for ever: were it emptied by every dispute, each would
        pay for writing it anew (docs/court.md). Where the token is not ours, only a deployer that has a unit
        does so.
        """
        court, vault = self._done[name].address, self._done["Vault"].address
        token = Contract(self._connection, "DevUSD", self._done["Token"].address)
        me, seed = self._outbox.address, f"seed {court}"
        if self._config.token is None:
            self._send("faucet", seed, token.address, token.data("faucet", me, 1))
        elif self._outbox.status("deposit", seed) is None and not token.call("balanceOf", me):
            log.warning(
                "the deployer has none of the payment token: deposit one base unit for the court at %s "
                "(Vault.deposit, from any account), and every dispute costs some 17,000 gas less",
                court,
            )
            return
        self._send("approve", seed, token.address, token.data("approve", vault, 1))
        deposit = Contract(self._connection, "Vault", vault).data("deposit", court, 1)
        self._send("deposit", seed, vault, deposit)

    def _send(self, name: str, action: str, to: str, data: bytes) -> None:
        self._outbox.put(name, action, to, data)
        self._outbox.wait(name, action, STEP_PATIENCE)

    def _addresses(self) -> dict[str, str]:
        return {name: deployed.address for name, deployed in self._done.items()}

    def _found_in(self, owner: str, getter: str, name: str, *args: Any) -> str:
        """A contract that another one's constructor created."""
        parent = self._done[owner]
        address = str(Contract(self._connection, owner, parent.address).call(getter))
        self._done[name] = Deployed(address, named(load_artifact(name), args), parent.tx, parent.block)
        return address

    def _adopt_token(self, token: str) -> None:
        address = Web3.to_checksum_address(token)
        try:
            decimals = Contract(self._connection, "DevUSD", address).call("decimals")
        except (NoContract, Reverted):
            raise DeploymentError(f"token {address} is no ERC-20 on chain {self._config.chain_id}") from None
        if decimals != 6:
            raise DeploymentError(
                f"token {address} has {decimals} decimals: prices are made for 6, as USDC has"
            )
        self._done["Token"] = Deployed(address, {}, None, None)
