"""What disputes ask of this node, in the order of their deadlines on chain. Logs say which disputes there
are; the contract says where each stands.
"""

import logging
from collections.abc import Callable

from agents.chain.errors import ChainUnreachable, Reverted
from agents.market.court import Court, Opened, Panel, Phase, Standing
from agents.market.errors import BadEvidence
from agents.node.court.appeals import Appeals
from agents.node.court.closing import Closing
from agents.node.court.docket import Docket
from agents.node.court.view import NEVER, Once, View
from agents.node.court.voting import Voting

log = logging.getLogger(__name__)

_AGAIN = 5
_NO_DRAW = ("NotYet", "Missed")


class Duties:
    """`look` does all that is due now; any time is a good time, and nothing is done twice. `own` tells the
    disputes over this node's answers.
    """

    def __init__(
        self,
        docket: Docket,
        court: Court,
        node: str,
        own: Callable[[Opened], bool],
        now: Callable[[], int],
        voting: Voting,
        appeals: Appeals,
        closing: Closing,
    ) -> None:
        self._docket = docket
        self._court = court
        self._node = node
        self._own = own
        self._now = now
        self._voting = voting
        self._appeals = appeals
        self._closing = closing
        self._later: dict[bytes, tuple[int, int]] = {}
        self._once = Once(log)

    def look(self) -> int:
        """How many disputes were looked at.

        Raises:
            ChainUnreachable: nothing can be seen just now.
        """
        version, now = self._docket.version, self._now()
        due: list[tuple[int, bytes, Standing]] = []
        still = self._docket.open()
        for key in still:
            seen, later = self._later.get(key, (-1, 0))
            if seen != version or now >= later:
                standing = self._court.standing(key)
                due.append((standing.until or NEVER, key, standing))
        for _, key, standing in sorted(due, key=lambda d: d[:2]):
            try:
                self._later[key] = version, self._see_to(key, standing, now)
            except ChainUnreachable:
                raise
            except Exception:
                # Nor may it hold up the others, who have their deadlines.
                log.exception("a dispute can't be seen to", extra={"dispute": "0x" + key.hex()})
                self._later[key] = version, now + _AGAIN
        for gone in set(self._later) - set(still):
            del self._later[gone]
        self._closing.settle()
        return len(due)

    def _see_to(self, key: bytes, standing: Standing, now: int) -> int:
        """Until when there is nothing to do unless something is logged; 0: look again at once."""
        if standing.phase is Phase.NONE:
            return 0  # reorganised away, or the RPC lags behind its own logs
        try:
            view = self._view(self._docket.opened(key), standing, now)
        except BadEvidence as error:
            log.error("%s", error)
            return NEVER
        if view.own:
            job = "0x" + view.opened.case.subject.hex()
            self._once.say(logging.WARNING, ("own",), view, "our answer to job %s is disputed", job)
        match standing.phase:
            case Phase.APPEALABLE:
                return self._appeals.consider(view)
            case Phase.FINAL:
                return self._closing.close(view)
            case Phase.REVEALING:
                return self._voting.reveal(view)
            case _:
                return self._before_reveals(view)

    def _view(self, opened: Opened, standing: Standing, now: int) -> View:
        panel: Panel | None = None
        try:
            panel = self._court.panel(opened.id, standing.round)
        except Reverted as refusal:
            if refusal.name not in _NO_DRAW:
                raise
        places = panel.indices(self._node) if panel else []
        return View(opened, standing, panel, places, self._own(opened), now)

    def _before_reveals(self, view: View) -> int:
        if view.panel is None:
            return 0
        drawing = view.standing.phase is Phase.DRAWING
        if view.own:
            terms = self._court.terms
            if drawing and 2 * view.left <= terms.draw_window:
                # Undrawn it would end without pay, and without an appeal's confirmation.
                self._voting.draw(view)
            if view.standing.round == 0:
                windows = terms.commit_window + terms.reveal_window + terms.appeal_window
                self._voting.check(view, view.standing.until + windows)
        if view.places:
            return self._voting.vote(view)
        # Until it is stored a panel may change, with the block that draws it.
        return view.now + _AGAIN if drawing else view.standing.until + 1
