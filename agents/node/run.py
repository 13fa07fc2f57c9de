"""A node in one object: everything wired, started and stopped in order."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from agents.chain.errors import ChainError
from agents.chain.follower import Follower, Progress
from agents.chain.journal import Journal
from agents.chain.loop import Loop
from agents.chain.outbox import Outbox
from agents.chain.paths import home
from agents.chain.wallet import Wallet
from agents.market.opening import open_market
from agents.node import app, models
from agents.node.admission import Admission
from agents.node.announcing import announce
from agents.node.answering import Answerer, EngineAnswerer
from agents.node.court.examiner import Examiner
from agents.node.court.seats import seats_of
from agents.node.court.verifier import Verifier
from agents.node.errors import NodeError
from agents.node.handout import Handout, HonestHandout
from agents.node.health import Health, Part
from agents.node.identity import Identity, check_operator, encryption_key
from agents.node.jobs import JobBook
from agents.node.metrics import Metrics
from agents.node.models import ServedModel
from agents.node.offers import Offers
from agents.node.periodic import Periodic, safely
from agents.node.places import journal_path, node_folder
from agents.node.process import run as run
from agents.node.promises import Promises
from agents.node.server import HttpServer
from agents.node.serving import Serving
from agents.node.settings import NodeSettings
from agents.node.shelf import Shelf
from agents.node.sweeps import Sweeps
from agents.node.watch import JobEvents, Watch
from agents.storage.local import LocalStore
from agents.storage.serve import router

log = logging.getLogger(__name__)

_LOOK_BACK = 1000


class NodeRunner:
    """A node. `wrap_answerer`, `wrap_handout` and `wrap_examiner` may put something in the place of what
    answers, what gives answers away and what judges others' answers.

    Raises (from `start`): NodeError, ChainError; whatever was opened by then is closed again.
    """

    def __init__(
        self,
        settings: NodeSettings,
        wallet: Wallet,
        *,
        wrap_answerer: Callable[[Answerer], Answerer] = lambda answerer: answerer,
        wrap_handout: Callable[[Handout], Handout] = lambda handout: handout,
        wrap_examiner: Callable[[Examiner], Examiner] = lambda examiner: examiner,
        progress: models.Progress | None = None,
    ) -> None:
        self._settings = settings
        self._wallet = wallet
        self._wrap_answerer = wrap_answerer
        self._wrap_handout = wrap_handout
        self._wrap_examiner = wrap_examiner
        self._progress = progress
        self._open = False
        self._starting = True
        self._grace = 0.0
        self._closing = ExitStack()
        self.endpoint = ""
        self.verifier: Verifier | None = None
        """None where the market has no court."""
        self.fatal: Exception | None = None
        self.ended = threading.Event()
        """Set when the node can't go on (`fatal` says why) or was asked to end."""

    def __enter__(self) -> "NodeRunner":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the node listens and does all it does."""
        try:
            self._start()
        except BaseException:
            self._closing.close()
            raise

    def stop(self, grace: float | None = None) -> None:
        """Accept nothing more, give running answers `grace` seconds, put the rest down where the next start
        finds it.
        """
        self._open = False
        self._grace = self._settings.shutdown_seconds if grace is None else grace
        self._closing.close()

    def is_open(self) -> bool:
        """Whether new jobs are taken."""
        return self._open and not (self._settings.drain or self._settings.verify_only)

    def _state(self) -> str:
        if self._starting:
            return "starting"
        return "ok" if self._open and not self._settings.drain else "draining"

    @property
    def models(self) -> Mapping[tuple[int, int], ServedModel]:
        """What it runs, by model and version."""
        return self._shelf.models

    @property
    def sold(self) -> Mapping[tuple[int, int], ServedModel]:
        """Those of `models` that new jobs are taken for."""
        return self._shelf.sold

    def _start(self) -> None:
        settings = self._settings
        self.market = open_market(settings.rpc_url, settings.deployment)
        self._own()
        self._listen()
        # First what is owed already, and needs no model: completions, demanded outputs, claims.
        self._watch()
        # Others may fetch what lies here, while this node still fetches and loads.
        self._answer_http()
        self.endpoint = announce(
            self.market, self.outbox, self.identity, self.endpoint, chosen=settings.endpoint is not None
        )
        self._load_models()
        if self.verifier is not None:
            self.verifier.check()
        self.serving.start()
        self._closing.callback(lambda: self.serving.stop(self._grace))
        self._schedule()
        self._open, self._starting = True, False
        log.info(
            "node started",
            extra={
                "node": self.identity.node,
                "operator": self._wallet.address,
                "chain": self.market.chain_id,
                "endpoint": self.endpoint,
                "port": self._server.port,
            },
        )

    def _own(self) -> None:
        """Take the journal and the key, which only one process may have."""
        settings, wallet, market = self._settings, self._wallet, self.market
        self.store = LocalStore(settings.store_dir or home() / "store")
        self._shelf = Shelf(market, self.store, settings, self._keep)
        node = settings.node or wallet.address
        private, public = encryption_key(node_folder(settings, market.chain_id, node))
        self.identity = Identity(node, wallet.address, settings.pay_to or node, public, private)
        self.journal = self._closing.enter_context(
            Journal(journal_path(settings, market.chain_id, wallet.address))
        )
        self.journal.bind("node", node, "node")
        self.outbox = self._closing.enter_context(
            Outbox(self.journal, market.connection, wallet, settings.outbox(market.chain_id))
        )
        self._closing.callback(_flush, self.outbox)
        check_operator(market, node, wallet.address)
        self.book = JobBook(self.journal)
        self.book.resume()
        self.metrics = Metrics()

    def _listen(self) -> None:
        """Have an address."""
        settings = self._settings
        self._server = HttpServer(settings.host, settings.port)
        self._closing.callback(self._server.stop)
        self.endpoint = settings.endpoint or f"http://{_bracketed(settings.host)}:{self._server.port}"
        self.outbox.start()

    def _watch(self) -> None:
        """Follow the chain, and do what it asks for."""
        settings, market, book = self._settings, self.market, self.book
        confirmations = settings.confirmations_on(market.chain_id)
        self.handout = self._wrap_handout(HonestHandout(book, market, self.outbox))
        self.serving = Serving(
            book,
            self.models,
            self._wrap_answerer(EngineAnswerer()),
            market,
            self.outbox,
            self._wallet,
            self.identity.pay_to,
            self.metrics,
            self._died,
        )
        self.verifier = self._judge()
        watch = Watch(book, market, self.outbox, self.handout, self.metrics, self.serving.wake)

        def look() -> float:
            watch.look()
            return settings.poll_seconds

        def followed(progress: Progress) -> None:
            if progress.caught_up:
                self._watching.wake()
                if self.verifier is not None:
                    self.verifier.wake()

        self._watching = Loop("watch", look)
        self.follower = Follower(
            self.journal,
            market.connection,
            [market.escrow] + ([market.court.contract] if market.court else []),
            [JobEvents(book, self.identity.node)] + ([self.verifier.docket] if self.verifier else []),
            start=book.follow_from(self._first_block()),
            confirmations=confirmations - 1,
            name="node",
            poll=settings.poll_seconds,
            on_progress=followed,
        )
        self.sweeps = Sweeps(
            book, market, self.outbox, self.follower, self.sold, self.metrics, settings, self.identity.node
        )
        self.follower.catch_up()
        self.sweeps.tidy()
        self._watching.start()
        self._closing.callback(self._watching.stop)
        if self.verifier is not None:
            self.verifier.start()
        self.follower.start()
        self._closing.callback(self.follower.close)

    def _first_block(self) -> int:
        """Where a new node starts to read: no job of its own is older, and no dispute that may draw it."""
        chain, court = self.market.connection, self.market.court
        back = float(_LOOK_BACK)
        if court is not None:
            back = max(back, court.contract.call("longest") / max(self.market.clock.block_seconds(), 0.1))
        return max(self.market.start_block, chain.latest().number - int(back))

    def _judge(self) -> Verifier | None:
        """The node's part in the court, where there is one."""
        settings = self._settings
        if self.market.court is None:
            if settings.seats or settings.verify_only:
                raise NodeError(
                    f"the market on chain {self.market.chain_id} has no court: start without --seats and "
                    "--verify-only"
                )
            return None
        verifier = Verifier(
            self.journal,
            self.market,
            self.market.court,
            self.outbox,
            self.identity.node,
            self.models,
            lambda: self.store,
            settings,
            lambda: self.endpoint,
            self.metrics,
            self._claim,
            self._wrap_examiner,
        )
        # After the engines are closed, which ends checks.
        self._closing.callback(verifier.stop)
        return verifier

    def _keep(self, model: ServedModel) -> None:
        self._closing.callback(model.engine.close)

    def _claim(self, job_hash: bytes) -> int:
        record = self.book.find(job_hash)
        return record.claim if record else 0

    def _answer_http(self) -> None:
        settings, market, book = self._settings, self.market, self.book
        written = self.serving.written
        parts: dict[str, Part] = {
            "follower": self.follower,
            "outbox": self.outbox,
            "serving": self.serving,
            "watch": self._watching,
        }
        if self.verifier is not None:
            parts |= self.verifier.parts()
        asgi = app.create(
            Admission(
                book,
                self.sold,
                Promises(book, self.models, market, settings, written),
                market,
                self.identity,
                self._wallet,
                settings,
                self.is_open,
            ),
            Offers(self.identity, market, self.sold, self._wallet, self.is_open, lambda: self._starting),
            book,
            self.handout,
            Health(
                book,
                self.models,
                self.follower,
                parts,
                self._state,
                self.verifier.report if self.verifier else None,
            ),
            self.metrics,
            router(self.store),
            written,
            settings.body_seconds,
        )
        self._server.start(
            asgi,
            seconds=settings.body_seconds,
            connections=settings.connections,
            per_ip=settings.connections_per_ip,
        )

    def _load_models(self) -> None:
        promised = {(r.job.model_id, r.job.version) for r in self.book.unanswered(self.market.clock.now())}
        seats: set[int] = set()
        if self.market.court is not None:
            mine = seats_of(self.market, self.identity.node)
            seats = {seat.seat.model_id for seat in mine if seat.holds}
        self._shelf.load(promised, seats, self.endpoint, self._progress)

    def _died(self, error: Exception) -> None:
        """Something that can't mend itself: end, so that whoever watches the process starts it again."""
        self.fatal = error
        self._open = False
        self.ended.set()

    def _schedule(self) -> None:
        often, sweeps = self._settings.sweep_seconds, self.sweeps
        every: list[tuple[str, Callable[[], object], float]] = [
            ("finalize", sweeps.finalize, often),
            ("close disputes", sweeps.close_disputes, often),
            ("tidy", sweeps.tidy, often),
            ("pulse", sweeps.pulse, often),
            ("push_fees", sweeps.push_fees, self._settings.push_fees_seconds),
        ]
        if self.verifier is not None:
            # Seats count from the next period on: the sooner they are taken, the better.
            safely("seats", self.verifier.keep_seats)()
            every += [
                ("seats", self.verifier.keep_seats, often),
                ("tidy court", self.verifier.tidy, often),
                ("court figures", self.verifier.pulse, often),
            ]
        self._closing.callback(Periodic(every).stop)


def _flush(outbox: Outbox) -> None:
    """Send what was written down last; the next start would."""
    try:
        outbox.tick()
    except ChainError as error:
        log.warning("not sent before the end: %s", error)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
