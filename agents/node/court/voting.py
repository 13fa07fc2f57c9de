"""A seat's duty in a round: check, commit, reveal, each in its time or, said aloud, not at all."""

import logging
from collections.abc import Sequence

from agents.chain.errors import Reverted
from agents.market.court import Court, Phase, Round, Vote
from agents.node.court.ballots import Ballot, Ballots
from agents.node.court.checks import Checks, Wanted
from agents.node.court.examiner import NO_WITNESS, Finding
from agents.node.court.sending import Sending
from agents.node.court.timing import Timing
from agents.node.court.view import Once, View

log = logging.getLogger(__name__)


class Voting:
    """Each method gives the chain time until which there is nothing to do unless something is logged; 0: look
    again at once.
    """

    def __init__(
        self, court: Court, ballots: Ballots, checks: Checks, sending: Sending, timing: Timing
    ) -> None:
        self._court = court
        self._ballots = ballots
        self._checks = checks
        self._sending = sending
        self._timing = timing
        self._once = Once(log)

    def vote(self, view: View) -> int:
        """Before the reveals: check in time, then commit."""
        assert view.panel is not None
        round_ = self._court.round(view.id, view.standing.round)
        todo = [place for place in view.places if not round_.has(round_.committed, place)]
        if not todo:
            return view.standing.until + 1
        lot = view.panel.lot
        self._once.say(
            logging.INFO, ("drawn", lot), view, "drawn into the panel of round %d", view.standing.round
        )
        finding = self._ballots.finding(view.id, lot) or self._without_check(view, round_)
        if finding is None:
            self._prepare(view)
        elif finding.vote is Vote.UNABLE and not round_.network:
            text = "not voting: %s; the seat is fined for its silence"
            self._once.say(logging.ERROR, ("unable", lot), view, text, finding.reason)
        elif view.left < self._timing.lag():
            self._give_up(view, 0.0)
        else:
            self._commit(view, todo, finding)
        return 0

    def reveal(self, view: View) -> int:
        """What the contract holds of ours and was not revealed."""
        if not view.places:
            return view.standing.until + 1
        round_ = self._court.round(view.id, view.standing.round)
        waiting = [p for p in view.places if round_.has(round_.committed & ~round_.revealed, p)]
        for place in waiting:
            ballot = self._committed(view, place)
            if ballot is not None:
                data = self._court.contract.data("reveal", *_opening(ballot))
                self._sending.see_to(view.name, _action("reveal", ballot), self._court.address, data)
        return 0 if waiting else view.standing.until + 1

    def draw(self, view: View) -> None:
        """Have the panel stored: its commit window starts."""
        data = self._court.contract.data("draw", view.id)
        self._sending.see_to(view.name, f"draw {view.standing.round}", self._court.address, data)

    def check(self, view: View, deadline: int) -> None:
        """Have the disputed work repeated by then, unless it was."""
        assert view.panel is not None
        opened, lot = view.opened, view.panel.lot
        if self._ballots.finding(opened.id, lot) is None:
            positions = tuple(self._court.witness_positions(lot, opened.case.tokens))
            needed, lane = self._timing.seconds(opened.case), self._timing.lane(opened.case)
            self._checks.want(Wanted(opened, lot, positions, deadline, needed, lane))

    def _without_check(self, view: View, round_: Round) -> Finding | None:
        """What can be said though nothing was repeated: of evidence that can't be read, and, where it is
        excused, that there is no time left.
        """
        assert view.panel is not None
        found: Finding | None = None
        if view.opened.unreadable:
            found = Finding(Vote.DISMISSED, NO_WITNESS, view.opened.unreadable)
        elif round_.network and self._room(view) <= self._timing.lag():
            found = Finding(Vote.UNABLE, NO_WITNESS, "the check was not done in time")
        if found is None:
            return None
        self._ballots.found(view.id, view.panel.lot, found)
        self._checks.forget((view.id, view.panel.lot))
        # The check may have come to its end just now: the first finding stays.
        return self._ballots.finding(view.id, view.panel.lot) or found

    def _room(self, view: View) -> int:
        """Seconds until the commitment has to be sent."""
        room = view.left - self._timing.lag()
        if view.standing.phase is Phase.DRAWING:
            # Once the panel is drawn its commit window starts.
            return max(room, self._court.terms.commit_window - self._timing.lag())
        return room

    def _prepare(self, view: View) -> None:
        """Ask for the check if it can be done at all; draw the panel where that makes time."""
        assert view.panel is not None
        terms, lag, room = self._court.terms, self._timing.lag(), self._room(view)
        case, key = view.opened.case, (view.id, view.panel.lot)
        least = self._timing.least(case)
        if room <= 0 or terms.reveal_window <= lag or (least > room and not self._checks.running(key)):
            self._give_up(view, least)
            return
        # Not the end of the draw window, where that comes first: a check has the commit window's time.
        deadline = view.now + room + lag
        if view.standing.phase is Phase.DRAWING:
            needed = self._timing.seconds(case) or 0.0
            needed += self._checks.before(key, deadline, self._timing.lane(case))
            if needed > view.left - lag or 2 * view.left <= terms.draw_window:
                self.draw(view)
        self.check(view, deadline)

    def _give_up(self, view: View, needed: float) -> None:
        assert view.panel is not None
        key = view.id, view.panel.lot
        self._checks.forget(key)
        self._once.say(
            logging.ERROR, ("late", view.panel.lot), view,
            "not voting: the check takes %.0f s at least and a transaction %d s; %d s are left, and reveals "
            "get %d s. The seat is fined for its silence: a machine that is too slow should hold fewer",
            needed, self._timing.lag(), max(0, view.left), self._court.terms.reveal_window,
        )  # fmt: skip

    def _commit(self, view: View, todo: Sequence[int], finding: Finding) -> None:
        assert view.panel is not None
        round_, lot = view.standing.round, view.panel.lot
        for place in todo:
            ballot = self._ballots.cast(view.id, round_, place, lot, finding, self._put_commit)
            self._once.say(
                logging.INFO, ("commit", place, lot), view, "voting %s: %s", ballot.vote.name, finding.reason
            )
            self._sending.see_to(
                view.name, _action("commit", ballot), self._court.address, self._commitment(ballot)
            )

    def _put_commit(self, ballot: Ballot) -> None:
        """Within the transaction of the journal that stores the ballot."""
        self._sending.put(
            "0x" + ballot.id.hex(), _action("commit", ballot), self._court.address, self._commitment(ballot)
        )

    def _commitment(self, ballot: Ballot) -> bytes:
        key = self._sending.address
        commitment = self._court.commitment(
            ballot.id, ballot.round, ballot.place, key, ballot.vote, ballot.witness, ballot.salt
        )
        return self._court.contract.data("commit", ballot.id, ballot.place, commitment)

    def _committed(self, view: View, place: int) -> Ballot | None:
        """The ballot whose commitment the contract holds: there are several where a reorganisation had panels
        drawn anew.
        """
        found = self._ballots.of(view.id, view.standing.round, place)
        if len(found) == 1:
            return found[0]
        for ballot in found:
            try:
                self._court.contract.call("reveal", *_opening(ballot), sender=self._sending.address)
            except Reverted:
                continue
            return ballot
        text = "a vote was committed by this operator's key and not from this journal: it can't be revealed"
        self._once.say(logging.ERROR, ("lost", place), view, text)
        return None


def _opening(ballot: Ballot) -> tuple[object, ...]:
    return ballot.id, ballot.place, int(ballot.vote), ballot.witness, ballot.salt


def _action(verb: str, ballot: Ballot) -> str:
    return f"{verb} {ballot.round}/{ballot.place} {ballot.lot:016x}"
