"""Disputes as anybody can see them: where each stands, who voted how, what happens next and when."""

from collections.abc import Iterator
from dataclasses import dataclass
from string import hexdigits
from typing import Any

from agents.chain.contracts import Event
from agents.consumer.errors import UnknownDispute
from agents.consumer.matter import counts
from agents.market.court import Court, Opened, Phase, Progress, Round, Ruling, Standing, Vote
from agents.market.events import Events
from agents.market.reads import Market
from agents.terminal.tables import when

_HASH_DIGITS = 64
_SHORTLY = {
    Phase.DRAWING: "its panel is drawn",
    Phase.COMMITTING: "its seats vote",
    Phase.REVEALING: "its seats reveal their votes",
    Phase.APPEALABLE: "an appeal (`agent appeal`), or it is closed",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A seat of a panel, by its number, and how far its vote is. `vote` is NONE until it is revealed."""

    seat: int
    committed: bool
    revealed: bool
    vote: Vote


@dataclass(frozen=True, slots=True)
class View:
    """A dispute as it stands. `rounds` has the first, and the appeal if there is one; `ruling` is NONE while
    a panel is at it."""

    opened: Opened
    standing: Standing
    ruling: Ruling
    rounds: tuple[Round, ...]

    @property
    def id(self) -> str:
        return "0x" + self.opened.id.hex()

    @property
    def closed(self) -> bool:
        return self.rounds[0].closed

    @property
    def phase(self) -> str:
        """The phase's name; `closed` after the last one."""
        return "closed" if self.closed else self.standing.phase.name.lower()


def look(market: Market, court: Court, opened: Opened) -> View:
    """Read the court about one dispute."""
    standing = court.standing(opened.id)
    rounds = tuple(court.round(opened.id, n) for n in range(standing.round + 1))
    over = standing.phase in (Phase.APPEALABLE, Phase.FINAL)
    return View(opened, standing, court.ruling(opened.id) if over else Ruling.NONE, rounds)


def seats_of(court: Court, round: int) -> int:
    """How many seats a round's panel has."""
    return court.terms.appeal_seats if round else court.terms.first_seats


def members(events: Events, view: View, round: int) -> list[Member]:
    """A round's panel, by the log: the court forgets it when it closes. Empty until it is drawn."""
    drawn: Event | None = None
    for event in events.dispute_log(view.opened.id, ["PanelDrawn"], view.opened.block):
        drawn = event if int(event.args["round"]) == round else drawn
    if drawn is None:
        return []
    votes = {b.index: b.vote for b in events.votes(view.opened.id, view.opened.block) if b.round == round}
    state = view.rounds[round]
    return [
        Member(
            int(seat), state.has(state.committed, i), state.has(state.revealed, i), votes.get(i, Vote.NONE)
        )
        for i, seat in enumerate(drawn.args["seats"])
    ]


def find_dispute(market: Market, events: Events, wanted: str) -> Opened:
    """The dispute whose id, or whose job's hash, is `wanted` or begins with it.

    Anybody can open a case of their own about the same job: the escrow's own comes first.

    Raises:
        UnknownDispute: none, or several.
    """
    start, prefix = market.start_block, wanted.lower().removeprefix("0x")
    if len(prefix) == _HASH_DIGITS and set(prefix) <= set(hexdigits):
        key = bytes.fromhex(prefix)
        if found := events.dispute(key, start) or events.dispute_of(key, start):
            return found
    known = list(events.disputes(start)) if prefix else []
    over = [o for o in known if o.case.subject.hex().startswith(prefix)]
    ours = [o for o in over if o.opener == market.escrow.address]
    fits = {o.id: o for o in [*(ours or over), *(o for o in known if o.id.hex().startswith(prefix))]}
    if len(fits) == 1:
        return next(iter(fits.values()))
    if fits:
        raise UnknownDispute(f"{len(fits)} disputes begin with {wanted[:20]}: write more of the number")
    raise UnknownDispute(f"no dispute {wanted[:70]} on this chain: `agent disputes` lists them")


def next_step(market: Market, court: Court, view: View) -> tuple[str, int]:
    """What happens next, and until when; 0 when no time ends it."""
    standing = view.standing
    if view.closed:
        return "nothing: it is over", 0
    match standing.phase:
        case Phase.DRAWING:
            text = "the panel is drawn, by its first vote or by anybody; if nobody does, the dispute lapses"
        case Phase.COMMITTING:
            text = "the seats commit to their votes; who does not pays a fine"
        case Phase.REVEALING:
            text = "the seats reveal their votes"
        case Phase.APPEALABLE:
            cost = market.money(court.appeal_cost(view.opened.case.tokens))
            text = f"anybody may appeal for {cost} (`agent appeal {view.id[:14]}`), or the ruling stands"
        case _:
            text = "anybody may close it: then the seats are paid and the escrow hears the ruling"
    return text, standing.until


def rule(opened: Opened) -> str:
    """By which rule, and by whose seats, in words."""
    if opened.exact:
        return f"the exact rule, by seats of bit class 0x{opened.case.bit_class.hex()[:12]}…"
    return f"the tolerant rule, by seats of {'all models' if opened.network else 'its model'}"


def lines(market: Market, court: Court, events: Events, view: View) -> Iterator[str]:
    """All about one dispute, for a person."""
    case, money = view.opened.case, market.money
    yield f"dispute  {view.id}, opened in block {view.opened.block}"
    yield f"job      0x{case.subject.hex()}, model {case.model_id} version {case.version}"
    yield f"client   {case.challenger}, with a bond of {money(court.bond(case.tokens))}"
    yield f"node     {case.node}"
    yield f"evidence {case.prompt_tokens} tokens of prompt and {case.output_tokens} of answer, public by now"
    yield f"judged   by {rule(view.opened)}"
    for n, state in enumerate(view.rounds):
        name = "appeal " if n else "round 1"
        if state.progress is Progress.REQUESTED:
            yield f"{name}  {seats_of(court, n)} seats, not drawn"
            continue
        yield f"{name}  {counts(state, seats_of(court, n))}"
        for i, member in enumerate(members(events, view, n)):
            yield f"         {i}: seat {member.seat}, {court.seat(member.seat).node}, {_vote(member)}"
    yield f"ruling   {ruling_in_words(view)}"
    text, until = next_step(market, court, view)
    yield f"next     {text}"
    if until:
        yield f"until    chain time {when(until, market.connection.time())}"


def ruling_in_words(view: View) -> str:
    """The ruling, or that there is none yet."""
    if view.ruling is Ruling.NONE:
        return "none yet"
    return view.ruling.name.lower() + ("" if view.closed else ", as it stands")


def _vote(member: Member) -> str:
    if member.revealed:
        return member.vote.name.lower()
    return "committed" if member.committed else "nothing yet"


def view_json(market: Market, court: Court, view: View) -> dict[str, Any]:
    """For programs; amounts in base units, as decimal text."""
    case = view.opened.case
    text, until = next_step(market, court, view)
    return {
        "dispute": view.id,
        "opener": view.opened.opener,
        "job": "0x" + case.subject.hex(),
        "client": case.challenger,
        "node": case.node,
        "modelId": str(case.model_id),
        "version": case.version,
        "tokens": case.tokens,
        "exact": view.opened.exact,
        "network": view.opened.network,
        "appealable": view.opened.appealable,
        "block": view.opened.block,
        "bond": str(court.bond(case.tokens)),
        "appealCost": str(court.appeal_cost(case.tokens)),
        "phase": view.phase,
        "until": until or None,
        "round": view.standing.round,
        "ruling": view.ruling.name.lower(),
        "rounds": [round_json(state, seats_of(court, n)) for n, state in enumerate(view.rounds)],
        "next": text,
    }


def round_json(state: Round, seats: int) -> dict[str, Any]:
    """A round's votes."""
    upheld, dismissed = state.upheld.bit_count(), state.dismissed.bit_count()
    return {
        "drawn": state.progress in (Progress.DRAWN, Progress.DONE),
        "seats": seats,
        "committed": state.committed.bit_count(),
        "revealed": state.revealed.bit_count(),
        "upheld": upheld,
        "dismissed": dismissed,
        "unable": state.revealed.bit_count() - upheld - dismissed,
    }


def member_json(court: Court, events: Events, view: View) -> list[list[dict[str, Any]]]:
    """The panels that were drawn: each seat, its node and its vote."""
    return [
        [
            {
                "seat": member.seat,
                "node": court.seat(member.seat).node,
                "committed": member.committed,
                "vote": member.vote.name.lower() if member.revealed else None,
            }
            for member in members(events, view, n)
        ]
        for n in range(len(view.rounds))
    ]


def cells(court: Court, view: View) -> tuple[str, str, str, str]:
    """Of a table: phase, votes, ruling, what is next."""
    n, state = view.standing.round, view.rounds[view.standing.round]
    phase = f"appeal, {view.phase}" if n else view.phase
    return phase, _votes(state, seats_of(court, n)), ruling_in_words(view), _next(view)


def _votes(state: Round, seats: int) -> str:
    if state.progress is Progress.REQUESTED:
        return "none drawn"
    if not state.revealed:
        return f"{state.committed.bit_count()} of {seats} committed"
    return f"{state.upheld.bit_count()} upheld, {state.dismissed.bit_count()} dismissed, of {seats}"


def _next(view: View) -> str:
    if view.closed:
        return "nothing: it is over"
    return _SHORTLY.get(view.standing.phase, "it is closed, by anybody")
