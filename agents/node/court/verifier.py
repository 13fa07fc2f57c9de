"""A node's part in the court, wired: what it follows, what it does, what it says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from agents.chain.journal import Journal
from agents.chain.loop import Loop
from agents.chain.outbox import Outbox
from agents.market.court import Court, Opened
from agents.market.reads import Market
from agents.node.court.appeals import Appeals
from agents.node.court.ballots import Ballots
from agents.node.court.checks import Checks
from agents.node.court.closing import Closing
from agents.node.court.docket import Docket
from agents.node.court.duties import Duties
from agents.node.court.examiner import EngineExaminer, Examiner, Finding
from agents.node.court.keeping import Keeping
from agents.node.court.library import Library
from agents.node.court.sending import Sending
from agents.node.court.timing import Timing, longest
from agents.node.court.voting import Voting
from agents.node.health import Part
from agents.node.metrics import Metrics
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings
from agents.storage.local import LocalStore

_DAY = 86_400


class Verifier:
    """`docket` is to be followed with the node's other projections. `claim` gives what a job earns if it is
    paid, by its hash.
    """

    def __init__(
        self,
        journal: Journal,
        market: Market,
        court: Court,
        outbox: Outbox,
        node: str,
        models: Mapping[tuple[int, int], ServedModel],
        store: Callable[[], LocalStore],
        settings: NodeSettings,
        endpoint: Callable[[], str],
        metrics: Metrics,
        claim: Callable[[bytes], int],
        wrap_examiner: Callable[[Examiner], Examiner],
    ) -> None:
        self._market = market
        self._court = court
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self.docket = Docket(journal, court.address)
        self._ballots = Ballots(journal)
        self._library = Library(market, models, store, settings, endpoint)
        self._timing = timing = Timing(market, models, self._library, settings)
        sending = Sending(outbox, market.connection)
        examiner = wrap_examiner(EngineExaminer(self._library, lambda opened: self._checks.left(opened)))
        self._checks = Checks(examiner, self._found, market.clock.now, lambda: 2 * timing.lag())
        voting = Voting(court, self._ballots, self._checks, sending, timing)
        appeals = Appeals(court, market, self._ballots, voting, sending, claim, allowed=settings.appeal)

        def own(key: bytes) -> bool:
            # Anybody can open a case that names this node; the escrow alone knows that there was a job.
            return self.docket.parties(key) == (market.escrow.address, node)

        closing = Closing(self.docket, court, market, sending, timing, node, own)
        self._duties = Duties(self.docket, court, node, own, market.clock.now, voting, appeals, closing)
        self._keeping = Keeping(
            market,
            court,
            outbox,
            models,
            node,
            {spec.model_id for spec in settings.models},
            settings.seats,
            lambda: self.docket.version,
            timing.lag,
        )
        self._longest: dict[str, dict[str, Any]] = {}
        self._loop = Loop("court", self._look)

    def parts(self) -> dict[str, Part]:
        """What health reports on."""
        return {"court": self._loop, "checks": self._checks}

    def start(self) -> None:
        """Do what needs no model; `check` begins the rest."""
        self._loop.start()

    def check(self) -> None:
        """The models are there now."""
        self._checks.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._loop.wake()

    def stop(self) -> None:
        self._loop.stop()
        self._checks.hold()
        self._library.close()
        self._checks.stop()

    def keep_seats(self) -> None:
        """A sweep: take the seats that were asked for and are missing."""
        self._longest = {
            str(model.version.model_id): asdict(longest(model, self._court.terms, self._timing.lag()))
            for model in self._models.values()
        }
        self._keeping.keep()

    def look_at_seats(self) -> None:
        """Stake may have come: the next sweep looks."""
        self._keeping.look_again()

    def tidy(self) -> None:
        """A sweep: forget evidence of disputes that ended long ago."""
        self.docket.wipe(self._market.clock.now() - int(self._settings.keep_days * _DAY))

    def pulse(self) -> None:
        """A sweep: bring the figures up to date."""
        report = self.report()
        for model_id, count in report["seats"].items():
            self._metrics.seats.labels(model_id).set(count)
        for vote, count in report["votes"].items():
            self._metrics.votes.labels(vote).set(count)
        self._metrics.disputes.labels("open").set(report["open"])
        self._metrics.disputes.labels("sat").set(report["sat"])
        self._metrics.disputes.labels("own").set(report["own"])
        self._metrics.court_earned.set(int(report["earned"]))
        self._metrics.silent.set(report["silent"])

    def report(self) -> dict[str, Any]:
        """Seats by model, disputes, votes by kind, silences, fees in base units, and by model the longest
        check there can be (see `timing.Longest`).
        """
        ended = self.docket.outcomes()
        return {
            "seats": {str(model_id): count for model_id, count in self._keeping.counts().items()},
            "open": len(self.docket.open()),
            "sat": sum(outcome.places > 0 for outcome in ended),
            "own": sum(outcome.own for outcome in ended),
            "votes": {vote.name.lower(): count for vote, count in self._ballots.votes().items()},
            "silent": sum(outcome.silent for outcome in ended),
            "earned": str(sum(outcome.earned for outcome in ended)),
            "longest": self._longest,
        }

    def _look(self) -> float:
        return self._settings.poll_seconds if self._duties.look() else 0.0

    def _found(self, opened: Opened, lot: int, finding: Finding) -> None:
        self._ballots.found(opened.id, lot, finding)
        self._loop.wake()
