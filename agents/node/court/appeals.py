"""A ruling against this node that its own check contradicts: the node funds the appeal."""

import logging
from collections.abc import Callable

from agents.market.court import Court, Ruling, Vote
from agents.market.court_calls import appeal_data
from agents.market.reads import Market
from agents.node.court.ballots import Ballots
from agents.node.court.sending import Sending
from agents.node.court.view import Once, View
from agents.node.court.voting import Voting

log = logging.getLogger(__name__)


class Appeals:
    """`claim` gives what a job earns if it is paid, by its hash, in base units."""

    def __init__(
        self,
        court: Court,
        market: Market,
        ballots: Ballots,
        voting: Voting,
        sending: Sending,
        claim: Callable[[bytes], int],
        *,
        allowed: bool,
    ) -> None:
        self._court = court
        self._market = market
        self._ballots = ballots
        self._voting = voting
        self._sending = sending
        self._claim = claim
        self._allowed = allowed
        self._once = Once(log)

    def consider(self, view: View) -> int:
        """While a dispute is appealable; the chain time until which there is nothing to do."""
        over = view.standing.until + 1
        if not view.own or self._court.ruling(view.id) is not Ruling.UPHELD:
            return over
        if view.opened.unreadable:
            return over  # without its case nobody can fund it
        if not self._allowed:
            text = "an answer of ours was ruled wrong, and this node does not appeal (CAPEK_NODE_APPEAL)"
            self._once.say(logging.ERROR, ("never",), view, text)
            return over
        assert view.panel is not None
        finding = self._ballots.finding(view.id, view.panel.lot)
        if finding is None:
            self._voting.check(view, view.standing.until)
            return 0
        if finding.vote is not Vote.DISMISSED:
            text = (
                "an answer of ours was ruled wrong, and our own check can't contradict it, so no appeal: %s"
            )
            self._once.say(logging.ERROR, ("guilty",), view, text, finding.reason)
            return over
        return self._fund(view)

    def _fund(self, view: View) -> int:
        case, money = view.opened.case, self._market.money
        cost = self._court.appeal_cost(case.tokens)
        stake = self._market.terms.penalty + self._claim(case.subject)
        if cost > stake:
            text = "an answer of ours was ruled wrong; no appeal: it costs %s, and %s are at stake"
            self._once.say(logging.ERROR, ("dear",), view, text, money(cost), money(stake))
            return view.standing.until + 1
        missing = cost - self._market.balance(self._sending.address)
        if missing > 0 and not self._sending.under_way(view.name, "appeal"):
            self._once.say(
                logging.ERROR, ("poor",), view,
                "an answer of ours was ruled wrong though it is right: to appeal, have %s more in the Vault "
                "balance of %s before chain time %d (`agent deposit`)",
                money(missing), self._sending.address, view.standing.until,
            )  # fmt: skip
            return 0
        text = "an answer of ours was ruled wrong though it is right: funding the appeal with %s"
        self._once.say(logging.WARNING, ("appeal",), view, text, money(cost))
        data = appeal_data(self._market, self._court, view.opened.opener, case)
        self._sending.see_to(view.name, "appeal", self._market.vault.address, data)
        return 0
