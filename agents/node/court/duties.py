"""What disputes ask of this node, in the order of their deadlines on chain. Logs say which disputes there
are; the contract says where each stands.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from agents.chain.errors import ChainUnreachable, Reverted
from agents.market.court import Court, Panel, Phase, Standing
from agents.node.court.appeals import Appeals
from agents.node.court.closing import Closing
from agents.node.court.docket import Docket
from agents.node.court.view import NEVER, Once, View
from agents.node.court.voting import Voting

log = logging.getLogger(__name__)

_AGAIN = 5
_SLICE = 2.0
"""Seconds that disputes of others may take before ours are looked at again."""
_NO_DRAW = ("NotYet", "Missed")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A dispute when it was last looked at: nothing to do before chain time `later` unless something is
    logged. `ours`: it has duties for this node, the next of which ends at `until`. `at` in monotonic seconds.
    """

    version: int
    later: int
    ours: bool
    until: int
    at: float


_UNSEEN = _Seen(-1, 0, ours=False, until=NEVER, at=0.0)


class Duties:
    """`look` does what is due now; any time is a good time, and nothing is done twice. `own` tells the
    disputes over this node's answers, by their id.
    """

    def __init__(
        self,
        docket: Docket,
        court: Court,
        node: str,
        own: Callable[[bytes], bool],
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
        self._seen: dict[bytes, _Seen] = {}
        self._once = Once(log)

    def look(self) -> bool:
        """Whether all was looked at that may have something to do: first what is known to be ours, in the
        order of its deadlines, then the others, as many as a moment allows.

        Raises:
            ChainUnreachable: nothing can be seen just now.
        """
        now, still = self._now(), self._docket.open()
        for gone in self._seen.keys() - set(still):
            del self._seen[gone]
        versions = {key: self._docket.version_of(key) for key in still}
        seen = {key: self._seen.get(key, _UNSEEN) for key in still}
        due = [key for key in still if seen[key].version != versions[key] or now >= seen[key].later]
        for key in sorted((k for k in due if seen[k].ours), key=lambda k: (seen[k].until, k)):
            self._look_at(key, versions[key], now)
        end, rest = time.monotonic() + _SLICE, [key for key in due if not seen[key].ours]
        # Those that were never looked at may be ours, and no number of others may hide one for ever.
        rest.sort(key=lambda k: seen[k].at)
        whole = True
        for key in rest:
            if time.monotonic() > end:
                whole = False
                break
            self._look_at(key, versions[key], now)
        self._closing.settle()
        return whole

    def _look_at(self, key: bytes, version: int, now: int) -> None:
        before = self._seen.get(key, _UNSEEN)
        try:
            self._seen[key] = self._see_to(key, version, now)
        except ChainUnreachable:
            raise
        except Exception:
            # Nor may it hold up the others, who have their deadlines.
            log.exception("a dispute can't be seen to", extra={"dispute": "0x" + key.hex()})
            self._seen[key] = replace(before, version=version, later=now + _AGAIN, at=time.monotonic())

    def _see_to(self, key: bytes, version: int, now: int) -> _Seen:
        standing = self._court.standing(key)
        if standing.phase is Phase.NONE:
            # Reorganised away, or the RPC lags behind its own logs.
            return replace(_UNSEEN, version=version, at=time.monotonic())
        view = self._view(key, standing, now)
        if view.own:
            job = "0x" + view.opened.case.subject.hex()
            self._once.say(logging.WARNING, ("own",), view, "our answer to job %s is disputed", job)
        ours = view.own or bool(view.places)
        return _Seen(version, self._act(view), ours, standing.until or NEVER, time.monotonic())

    def _act(self, view: View) -> int:
        """Until when there is nothing to do unless something is logged; 0: look again at once."""
        match view.standing.phase:
            case Phase.APPEALABLE:
                return self._appeals.consider(view)
            case Phase.FINAL:
                return self._closing.close(view)
            case Phase.REVEALING:
                return self._voting.reveal(view)
            case _:
                return self._before_reveals(view)

    def _view(self, key: bytes, standing: Standing, now: int) -> View:
        panel: Panel | None = None
        try:
            panel = self._court.panel(key, standing.round)
        except Reverted as refusal:
            if refusal.name not in _NO_DRAW:
                raise
        places = panel.indices(self._node) if panel else []
        return View(key, lambda: self._docket.opened(key), standing, panel, places, self._own(key), now)

    def _before_reveals(self, view: View) -> int:
        if view.panel is None:
            return 0  # the block that draws it is near
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
