"""What this machine lacks to pay for answers, and how to mend it."""

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from agents.chain.connection import Connection, host
from agents.chain.errors import ChainError
from agents.chain.wallet import address_of
from agents.consumer.names import only_model
from agents.consumer.settings import ConsumerSettings
from agents.market.account import account_name
from agents.market.errors import MarketError
from agents.market.events import Events
from agents.market.models import ModelVersion, get_manifest, get_weights, is_here, look_up, peers_of
from agents.market.opening import deployment_path, open_market
from agents.market.reads import Market
from agents.market.reference import Reference
from agents.protocol.manifest import Manifest
from agents.storage.errors import StorageError
from agents.storage.local import LocalStore
from agents.terminal.exits import CommandError

_LEAST_PYTHON = (3, 11)
_LEAST_DISK = 1 << 30
_USUAL_EVIDENCE = 512
"""Tokens of prompt and answer together, to name a price by."""
_SET_UP = "set up again: `make setup`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` says what to do when it is not ok."""

    what: str
    ok: bool
    found: str
    mend: str = ""


class Checkup:
    """Looks at everything, one after the other; what hangs on something missing is left out.

    `tell` is called with each finding as it is made.
    """

    def __init__(self, settings: ConsumerSettings, tell: Callable[[Finding], None]) -> None:
        self._settings = settings
        self._tell = tell
        self.findings: list[Finding] = []

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    def run(self) -> None:
        self._python()
        llama = self._llama()
        store = self._store()
        market = self._market()
        account = self._account()
        if market is not None and account is not None:
            self._money(market, account)
        if market is not None and store is not None:
            self._model(market, store, llama)

    def _add(self, what: str, ok: bool, found: str, mend: str = "") -> None:
        finding = Finding(what, ok, found, "" if ok else mend)
        self.findings.append(finding)
        self._tell(finding)

    def _python(self) -> None:
        self._add(
            "python",
            sys.version_info >= _LEAST_PYTHON,
            platform.python_version(),
            "install Python 3.11 or newer",
        )

    def _llama(self) -> bool:
        try:
            from agents.engine.native import CANONICAL, is_canonical_build

            found = f"llama-cpp-python {version('llama-cpp-python')}"
            exact = is_canonical_build()
        except (ImportError, OSError, RuntimeError, PackageNotFoundError) as error:
            self._add("llama.cpp", False, f"can't be loaded ({type(error).__name__})", _SET_UP)
            return False
        # Another build lacks nothing: answers are then checked by the tolerant rule.
        kind = (
            f"build {CANONICAL}"
            if exact
            else f"not build {CANONICAL}, so checks are tolerant only ({_SET_UP})"
        )
        self._add("llama.cpp", True, f"{found}, {kind}")
        return True

    def _store(self) -> LocalStore | None:
        try:
            store = LocalStore(self._settings.store_path())
            free = shutil.disk_usage(store.root).free
        except (StorageError, OSError) as error:
            self._add("store", False, str(error), "set CAPEK_STORE_DIR to a folder you may write to")
            return None
        found = f"{store.root}, {free >> 20} MiB free"
        self._add("store", free >= _LEAST_DISK, found, "make room, or set CAPEK_STORE_DIR to another disk")
        return store

    def _market(self) -> Market | None:
        url = self._settings.rpc_url
        try:
            connection = Connection.open(url, attempts=2, timeout=10)
        except ChainError as error:
            self._add("rpc", False, str(error), "set CAPEK_RPC_URL, or start a local chain: `agent devnet`")
            return None
        self._add("rpc", True, f"{host(url)}, block {connection.latest().number}")
        self._add("chain id", True, str(connection.chain_id))
        try:
            path = deployment_path(connection.chain_id, self._settings.deployment)
            market = open_market(url, path)
            market.terms  # noqa: B018 - one read proves that the contracts answer
        except ChainError as error:
            self._add("deployment", False, str(error), "name its file: --deployment or CAPEK_DEPLOYMENT")
            return None
        self._add("deployment", True, f"{path}, Vault {market.vault.address}")
        return market

    def _account(self) -> str | None:
        try:
            name = account_name(self._settings)
            address = address_of(name)
        except (CommandError, ChainError) as error:
            self._add("account", False, str(error), "make one: `agent account new NAME`")
            return None
        self._add("account", True, f"{name}, {address}")
        return address

    def _money(self, market: Market, account: str) -> None:
        gas = market.connection.balance(account)
        chain = market.chain_id
        self._add("gas", gas > 0, f"{gas / 1e18:.6f} ETH", f"send ether to {account} on chain {chain}")
        free, tokens = market.balance(account), market.tokens(account)
        more = "" if not tokens else f", and {market.money(tokens)} in the wallet"
        mend = "deposit some: `agent deposit 1`"
        if not tokens:
            mend = (
                f"send tokens ({market.token.address}) to {account} on chain {chain}, then `agent deposit 1`"
            )
        self._add("Vault balance", free > 0, f"{market.money(free)}{more}", mend)
        self._court(market, free)

    def _court(self, market: Market, free: int) -> None:
        """Without one, or without the money for it, nothing is missing: wrong answers are then refused."""
        court = market.court
        if court is None:
            self._add("court", True, "none on this deployment: a wrong answer can only be refused")
            return
        seats = court.pool_size(0, bytes(32), court.period(market.clock.now()) - 1)
        bond = court.bond(_USUAL_EVIDENCE)
        enough = "" if seats >= court.terms.first_seats else f" (it needs {court.terms.first_seats})"
        short = "" if free >= bond else ", which is more than your balance"
        drawn = f"{seats} seats can be drawn{enough}"
        takes = f"to challenge {_USUAL_EVIDENCE} tokens takes a bond of {market.money(bond)}{short}"
        self._add("court", True, f"{drawn}; {takes}")

    def _model(self, market: Market, store: LocalStore, llama: bool) -> None:
        settings, events = self._settings, Events(market, self._settings.confirmations_on(market.chain_id))
        try:
            wanted = Reference.parse(settings.model or only_model(market, events))
            if wanted.model_id is None:
                self._add("model", True, f"{wanted.name}: looked up when you ask")
                return
            model = look_up(market, wanted.model_id, wanted.version)
        except MarketError as error:
            self._add("model", False, str(error), "name one: --model or CAPEK_MODEL")
            return
        self._add("model", True, model.label)
        nodes = market.providers(model.model_id, 1)[1]
        self._add(
            "nodes", nodes > 0, f"{nodes} with stake for it", "run one (`agent node`), or name another model"
        )
        try:
            peers = peers_of(market, model.model_id, settings.peers, allow_private=settings.allow_private)
            manifest = get_manifest(store, model, peers)
        except MarketError as error:
            self._add("manifest", False, str(error), "name a peer that has it: CAPEK_PEERS")
            return
        if not is_here(store, manifest, settings.weight_places()):
            size = manifest.weights.size >> 20
            self._add(
                "weights", True, f"not here: the first question fetches {size} MiB from {len(peers)} peers"
            )
            return
        self._add("weights", True, "here")
        if llama:
            self._bit_class(store, model, manifest)

    def _bit_class(self, store: LocalStore, model: ModelVersion, manifest: Manifest) -> None:
        from agents.consumer.running import Machine, RunningModel

        settings = self._settings
        try:
            path = get_weights(store, model, manifest, settings.weight_places(), ())
            with RunningModel(manifest, path, Machine(settings.threads, settings.gpu_layers)) as running:
                found = running.bit_class()
        except (MarketError, CommandError) as error:
            self._add("bit class", False, str(error), "fetch the weights again, or " + _SET_UP)
            return
        known = "0x" + found.hex() in manifest.bit_classes
        name = (
            "0x" + found.hex()[:16] + "…" if any(found) else "none: answers are checked by the tolerant rule"
        )
        self._add("bit class", True, f"{name}{', one the model was published with' if known else ''}")
