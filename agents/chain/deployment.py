"""Where a market's contracts are: `deployments/<chainId>.json`, and the deploying of them.

Deploying needs web3 and the committed artifacts, no compiler. It can die at any point: run it again and it
goes on.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.compiled import Artifact, load_artifact
from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.errors import ChainError, NoContract, Reverted
from agents.chain.journal import Journal
from agents.chain.outbox import Intent, Outbox, OutboxSettings
from agents.chain.paths import chain_home
from agents.chain.wallet import Signer
from agents.protocol.messages import Domain, domain_separator

log = logging.getLogger(__name__)

FORMAT = "capek-deployment/1"
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
        return Contract(connection, "DevUSD" if name == "Token" else name, self.address(name))

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
            artifact = load_artifact("DevUSD" if name == "Token" else name)
            if not artifact.matches(connection.code(self.address(name))):
                raise DeploymentError(
                    f"the code at {self.address(name)} is not the {name} of this version: it was deployed by "
                    "another one; use that, or deploy anew"
                )
        registry = self.contract(connection, "ModelRegistry")
        escrow = self.contract(connection, "JobEscrow")
        config = escrow.call("config")._asdict()
        wanted = dict(zip(config, _escrow_config(self.config, self.contracts), strict=True))
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
        for what, (found, expected) in facts.items():
            if found != expected:
                raise DeploymentError(
                    f"{what} is {found}, not {expected}: this is not what was to be deployed"
                )

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
        DeploymentError: another deployment is at `path`, the payment token is unfit, or what lies on chain is
            not what was to be deployed.
        OutOfGasMoney, IntentTimeout: run it again.
    """
    connection.expect(config.chain_id)
    # By genesis, so that a restarted local chain begins anew; by path, so that two deployments do not share.
    tag = keccak(b"".join((connection.genesis, signer.address.encode(), bytes(path.resolve()))))[:8].hex()
    journal_path = chain_home(config.chain_id) / f"deploy-{tag}.db"
    done = _existing(connection, config, path)
    if done is None:
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
        governor = self._create("TuningGovernor", "TuningGovernor", vault)
        models = self._found_in("TuningGovernor", "models", "ModelRegistry", governor)
        self._found_in("ModelRegistry", "tokenImplementation", "ModelToken")
        self._create("JobEscrow", "JobEscrow", _escrow_config(config, self._done))
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
            created.contract, _named(artifact, args), "0x" + created.tx_hash.hex(), created.block_number
        )
        return created.contract

    def _found_in(self, owner: str, getter: str, name: str, *args: Any) -> str:
        """A contract that another one's constructor created."""
        parent = self._done[owner]
        address = str(Contract(self._connection, owner, parent.address).call(getter))
        self._done[name] = Deployed(address, _named(load_artifact(name), args), parent.tx, parent.block)
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


def _escrow_config(config: DeploymentConfig, contracts: Mapping[str, Deployed]) -> tuple[Any, ...]:
    """IJobEscrow.EscrowConfig, in its order."""
    return (
        contracts["Vault"].address,
        contracts["NodeRegistry"].address,
        contracts["ModelRegistry"].address,
        contracts["TuningGovernor"].address,
        config.court_address,
        config.penalty,
        config.miss_penalty,
        config.winner_share,
        config.delivery_fee,
        config.delivery_fee_per_token,
        config.challenge_window,
        config.delivery_window,
        config.dispute_limit,
        config.max_job_time,
    )


def _named(artifact: Artifact, args: Sequence[Any]) -> dict[str, Any]:
    """A constructor's arguments under their names, structs too."""
    inputs: list[dict[str, Any]] = next((entry["inputs"] for entry in artifact.entries("constructor")), [])
    return _by_name(inputs, args)


def _by_name(inputs: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> dict[str, Any]:
    named = {}
    for entry, value in zip(inputs, values, strict=True):
        parts = entry.get("components")
        named[str(entry["name"]).rstrip("_")] = _by_name(parts, value) if parts else value
    return named
