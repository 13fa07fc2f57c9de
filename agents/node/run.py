"""A node in one object: everything wired, started and stopped in order."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from apscheduler.schedulers.background import BackgroundScheduler

from agents.chain.errors import ChainError
from agents.chain.follower import Follower, Progress
from agents.chain.journal import Journal, JournalError
from agents.chain.loop import Loop
from agents.chain.outbox import Outbox
from agents.chain.paths import home
from agents.chain.wallet import Wallet
from agents.engine.threads import physical_cores
from agents.market.errors import MarketError
from agents.market.opening import open_market
from agents.node import app, models
from agents.node.admission import Admission
from agents.node.answering import Answerer, EngineAnswerer
from agents.node.errors import NodeError
from agents.node.handout import Handout, HonestHandout
from agents.node.health import Health, Part
from agents.node.identity import Identity, check_operator, encryption_key
from agents.node.jobs import JobBook
from agents.node.metrics import Metrics
from agents.node.models import ServedModel
from agents.node.modelspec import ModelSpec
from agents.node.offers import Offers
from agents.node.places import journal_path, node_folder
from agents.node.promises import Promises
from agents.node.server import HttpServer
from agents.node.serving import Serving
from agents.node.settings import NodeSettings
from agents.node.sweeps import Sweeps
from agents.node.watch import JobEvents, Watch
from agents.storage.local import LocalStore
from agents.storage.serve import router

log = logging.getLogger(__name__)

_LOOK_BACK = 1000
_ANNOUNCE_PATIENCE = 300.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_INTERRUPTED = 130


class NodeRunner:
    """A node. `wrap_answerer` and `wrap_handout` may put something in the place of what answers and what
    gives answers away.

    Raises (from `start`): NodeError, ChainError; whatever was opened by then is closed again.
    """

    def __init__(
        self,
        settings: NodeSettings,
        wallet: Wallet,
        *,
        wrap_answerer: Callable[[Answerer], Answerer] = lambda answerer: answerer,
        wrap_handout: Callable[[Handout], Handout] = lambda handout: handout,
        progress: models.Progress | None = None,
    ) -> None:
        self._settings = settings
        self._wallet = wallet
        self._wrap_answerer = wrap_answerer
        self._wrap_handout = wrap_handout
        self._progress = progress
        self._open = False
        self._grace = 0.0
        self._closing = ExitStack()
        self.endpoint = ""
        self.models: dict[tuple[int, int], ServedModel] = {}
        self.sold: dict[tuple[int, int], ServedModel] = {}
        """Those of `models` that new jobs are taken for."""
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
        return self._open and not self._settings.drain

    def _start(self) -> None:
        self.market = open_market(self._settings.rpc_url, self._settings.deployment)
        self._own()
        self._listen()
        # First what is owed already, and needs no model: completions, demanded outputs, claims.
        self._watch()
        self._load_models()
        self.serving.start()
        self._closing.callback(lambda: self.serving.stop(self._grace))
        self._schedule()
        self._open = True
        self._answer_http()
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
        """Have an address, and let the registry name it."""
        settings = self._settings
        self._server = HttpServer(settings.host, settings.port)
        self._closing.callback(self._server.stop)
        self.endpoint = settings.endpoint or f"http://{_bracketed(settings.host)}:{self._server.port}"
        self.outbox.start()
        self._announce()

    def _announce(self) -> None:
        """The registry is to name the key that prompts are sealed to, and the endpoint; the operator may."""
        found = self.market.node(self.identity.node)
        known_host = urlsplit(found.endpoint).hostname
        if self._settings.endpoint is None and known_host is not None and known_host not in _LOOPBACK:
            # Registered by somebody who knows better than a default: a proxy in front, say.
            self.endpoint = found.endpoint
        if found.endpoint == self.endpoint and found.encryption_key == self.identity.public_key:
            return
        action = f"endpoint {self.endpoint} (block {self.market.connection.latest().number})"
        nodes = self.market.nodes
        data = nodes.data("setEndpoint", self.identity.node, self.identity.public_key, self.endpoint)
        self.outbox.put("registry", action, nodes.address, data)
        self.outbox.wait("registry", action, _ANNOUNCE_PATIENCE)
        log.info("the registry names this endpoint now", extra={"endpoint": self.endpoint})

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
        watch = Watch(book, market, self.outbox, self.handout, self.metrics, self.serving.wake)

        def look() -> float:
            watch.look()
            return settings.poll_seconds

        def followed(progress: Progress) -> None:
            if progress.caught_up:
                self._watching.wake()

        self._watching = Loop("watch", look)
        self.follower = Follower(
            self.journal,
            market.connection,
            [market.escrow],
            [JobEvents(book, self.identity.node)],
            # A new node has no job in old blocks.
            start=book.follow_from(max(market.start_block, market.connection.latest().number - _LOOK_BACK)),
            confirmations=confirmations - 1,
            name="node",
            poll=settings.poll_seconds,
            on_progress=followed,
        )
        self.sweeps = Sweeps(
            book, market, self.outbox, self.follower, self.models, self.metrics, settings, self.identity.node
        )
        self.follower.catch_up()
        self.sweeps.tidy()
        self._watching.start()
        self._closing.callback(self._watching.stop)
        self.follower.start()
        self._closing.callback(self.follower.close)

    def _answer_http(self) -> None:
        settings, market, book = self._settings, self.market, self.book
        written = self.serving.written
        parts: dict[str, Part] = {
            "follower": self.follower,
            "outbox": self.outbox,
            "serving": self.serving,
            "watch": self._watching,
        }
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
            Offers(self.identity, market, self.sold, self._wallet, self.is_open),
            book,
            self.handout,
            Health(book, self.models, self.follower, parts, self.is_open),
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
        settings = self._settings
        if not settings.models and not settings.drain:
            raise NodeError(
                "no model to serve: name one or more by --model TRAINER/NAME (CAPEK_NODE_MODELS), as in "
                "0x…/smollm2-135m"
            )
        self.store = LocalStore(settings.store_dir or home() / "store")
        threads = settings.threads or max(1, physical_cores() // max(1, len(settings.models)))
        for spec in settings.models:
            model = self._load(spec, threads)
            self.sold[model.key] = model
        promised = {(r.job.model_id, r.job.version) for r in self.book.unanswered(self.market.clock.now())}
        for model_id, version in sorted(promised - set(self.models)):
            try:
                self._load(ModelSpec(model_id, version), threads)
            except (NodeError, MarketError) as error:
                log.error("a model that open jobs need can't be served: %s", error)

    def _load(self, spec: ModelSpec, threads: int) -> ServedModel:
        settings = self._settings.model_copy(update={"threads": threads})
        model = models.serve(self.market, self.store, spec, settings, self.endpoint, self._progress)
        self._closing.callback(model.engine.close)
        self.models[model.key] = model
        return model

    def _died(self, error: Exception) -> None:
        """Something that can't mend itself: end, so that whoever watches the process starts it again."""
        self.fatal = error
        self._open = False
        self.ended.set()

    def _schedule(self) -> None:
        scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        often, sweeps = self._settings.sweep_seconds, self.sweeps
        for name, sweep, seconds in (
            ("finalize", sweeps.finalize, often),
            ("tidy", sweeps.tidy, often),
            ("pulse", sweeps.pulse, often),
            ("push_fees", sweeps.push_fees, self._settings.push_fees_seconds),
        ):
            scheduler.add_job(_safely(name, sweep), "interval", seconds=seconds, id=name)
        scheduler.start()
        self._closing.callback(scheduler.shutdown)


def run(runner: NodeRunner, announce: Callable[[NodeRunner], None]) -> None:
    """Run until Ctrl-C or SIGTERM, then stop in good order; a second signal ends at once, which loses nothing
    either.
    """
    started = threading.Event()

    def on_signal(number: int, _: object) -> None:
        if not started.is_set():
            raise KeyboardInterrupt
        if runner.ended.is_set():
            os._exit(_INTERRUPTED)
        log.warning("stopping: running answers get a moment; once more to stop at once")
        runner.ended.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        runner.start()
        started.set()
        try:
            announce(runner)
            runner.ended.wait()
        finally:
            runner.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if runner.fatal is not None:
        raise NodeError(f"the node had to stop ({runner.fatal}): start it again, nothing is lost")


def _flush(outbox: Outbox) -> None:
    """Send what was written down last; the next start would."""
    try:
        outbox.tick()
    except ChainError as error:
        log.warning("not sent before the end: %s", error)


def _safely(name: str, sweep: Callable[[], object]) -> Callable[[], None]:
    def swept() -> None:
        try:
            sweep()
        except JournalError:
            log.exception("sweep %s", name)
        except ChainError as error:
            log.warning("sweep %s: %s", name, error)
        except Exception:
            log.exception("sweep %s", name)

    return swept


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
