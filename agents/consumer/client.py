"""A consumer's account with all it needs to ask and to pay."""

from collections.abc import Callable

from agents.consumer.book import Book, Record
from agents.consumer.dossiers import Dossiers
from agents.consumer.errors import NotEnoughMoney
from agents.consumer.loading import load_model
from agents.consumer.running import RunningModel
from agents.consumer.settings import ConsumerSettings
from agents.consumer.settle import Settler
from agents.market.account import Account, Call
from agents.market.models import ModelVersion, look_up, peers_of
from agents.storage.local import LocalStore
from agents.terminal.screen import Screen


class Client:
    """Close it, or use it in a `with`."""

    def __init__(self, settings: ConsumerSettings, account: Account) -> None:
        self.settings = settings
        self.account = account
        self.market = account.market
        self.events = account.events
        self.book = Book(account.journal)
        self.dossiers = Dossiers(account.journal)
        self.store = LocalStore(settings.store_path())
        self._models: dict[bytes, RunningModel] = {}

    @classmethod
    def open(cls, settings: ConsumerSettings) -> "Client":
        """Raises as `Account.open`."""
        account = Account.open(settings)
        try:
            return cls(settings, account)
        except BaseException:
            account.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for model in self._models.values():
            model.close()
        self.account.close()

    @property
    def address(self) -> str:
        return self.account.address

    def model(self, version: ModelVersion, screen: Screen) -> RunningModel:
        """A model's files, fetched if need be and verified, ready to run; closed with the client.

        Raises:
            NoModel: they can't be had or can't be used.
        """
        if version.digest not in self._models:
            peers = peers_of(
                self.market,
                version.model_id,
                self.settings.peers,
                allow_private=self.settings.allow_private,
            )
            self._models[version.digest] = load_model(self.store, version, peers, self.settings, screen)
        return self._models[version.digest]

    def jobs(self) -> list[Record]:
        """Jobs of this deployment that have not ended, oldest first."""
        escrow = self.market.escrow.address
        return [record for record in self.book.open() if record.job.collector == escrow]

    def settler(
        self,
        screen: Screen,
        *,
        say: Callable[[str], None] | None = None,
        finish: bool = False,
        demand: bool = False,
    ) -> Settler:
        """Steps of this account's jobs; `say` in the place of the screen's own."""

        def load(record: Record) -> RunningModel:
            return self.model(look_up(self.market, record.job.model_id, record.job.version), screen)

        return Settler(
            self.account,
            self.book,
            load,
            node_timeout=self.settings.node_timeout,
            patience=self.settings.patience,
            ask_again=2 * self.settings.poll,
            say=say or screen.say,
            finish=finish,
            demand=demand,
        )

    # Money in and out of the Vault. All raise as Account.run.

    def deposit(self, amount: int, *, faucet: bool = False) -> bytes:
        """Move tokens, minted first with `faucet`, from the wallet into the Vault; the transaction's hash.

        Raises:
            NotEnoughMoney: the wallet holds less than `amount`.
        """
        market, vault, token = self.market, self.market.vault, self.market.token
        calls = []
        if faucet:
            calls.append(Call("faucet", token.address, token.data("faucet", self.address, amount)))
        elif (have := market.tokens(self.address)) < amount:
            raise NotEnoughMoney(
                f"{self.address} holds {market.money(have)} and {market.money(amount)} are to be deposited: "
                f"send {market.money(amount - have)} (token {token.address}) to it on chain {market.chain_id}"
            )
        calls.append(Call("allow", token.address, token.data("approve", vault.address, amount)))
        calls.append(Call("deposit", vault.address, vault.data("deposit", self.address, amount)))
        return self.account.run("deposit", calls)[-1].tx_hash or b""

    def withdraw(self, amount: int, to: str | None = None) -> bytes:
        """Move tokens from the Vault to the wallet, or to the address `to`; the transaction's hash.

        Raises:
            NotEnoughMoney: the free balance is below `amount`.
        """
        market, vault = self.market, self.market.vault
        have = market.balance(self.address)
        if have < amount:
            raise NotEnoughMoney(
                f"the free Vault balance of {self.address} is {market.money(have)}, and "
                f"{market.money(amount)} are to be withdrawn: `agent money` shows what is locked"
            )
        data = vault.data("withdraw", to or self.address, amount)
        return self.account.run("withdraw", [Call("withdraw", vault.address, data)])[-1].tx_hash or b""

    def unfinished(self) -> list[str]:
        """What earlier runs left in the outbox, jobs aside, in words."""
        jobs = {record.name for record in self.book.open()}
        left = self.account.outbox.unfinished()
        return [f"{i.action} is {i.state}" for i in left if i.subject not in jobs]

    def flush(self) -> None:
        """Finish what `unfinished` lists."""
        jobs = {record.name for record in self.book.open()}
        for intent in self.account.outbox.unfinished():
            if intent.subject not in jobs:
                self.account.wait(intent.subject, intent.action)
