"""Funding an appeal, by anybody who thinks that a first panel was wrong, and following it to its ruling."""

from dataclasses import dataclass
from time import sleep

from agents.chain.errors import ChainUnreachable
from agents.consumer.client import Client
from agents.consumer.disputes import View, find_dispute, look
from agents.consumer.errors import CannotDispute, Unfinished
from agents.consumer.matter import Matter
from agents.consumer.settle import Settler
from agents.engine import EngineError
from agents.market.court import Court, Opened, Phase, Ruling
from agents.market.models import look_up
from agents.rastic import Action, Mode
from agents.terminal.screen import Screen

_HELD = {Phase.DRAWING: "is not drawn yet", Phase.COMMITTING: "votes", Phase.REVEALING: "reveals its votes"}


@dataclass(frozen=True, slots=True)
class Appealed:
    """What came of an appeal: `cost` paid by this account, `back` what came back; None while it runs."""

    view: View
    cost: int
    back: int | None


def appeal(client: Client, wanted: str, screen: Screen, *, check: bool, force: bool, wait: bool) -> Appealed:
    """Fund the appeal of a dispute, or carry on with one that this account has funded.

    Args:
        wanted: the dispute's id, or the job's hash, or the beginning of either.
        check: repeat the check of the evidence first, and go on only if the first panel was wrong.
        force: appeal even if the check says that it was right.

    Raises:
        UnknownDispute, CannotDispute, NotEnoughMoney: nothing was sent.
        Unfinished, IntentTimeout, ChainError: the same command carries on.
    """
    client.flush()
    court = client.market.court
    if court is None:
        raise CannotDispute("this deployment has no court: there is nothing to appeal")
    opened = find_dispute(client.market, client.events, wanted)
    if opened.opener != client.market.escrow.address:
        screen.warn(
            f"dispute 0x{opened.id.hex()[:12]}… was not opened by this market's escrow, but by "
            f"{opened.opener}: nobody has checked that its evidence is what anybody signed"
        )
    settler, matter = client.settler(screen, finish=True), _matter(client, opened)
    if not _paid(client, opened):
        view = look(client.market, court, opened)
        _check_phase(court, view)
        _say_stakes(client, court, view, screen)
        if check:
            _check_answer(client, view, screen, force)
        if settler.court.appeal(court, matter, view.standing).intent is None:
            raise CannotDispute(
                f"dispute {view.id[:14]}… was appealed by somebody else meanwhile: nothing of yours was paid"
            )
    return _follow(client, settler, court, matter, opened, screen, wait)


def _matter(client: Client, opened: Opened) -> Matter:
    """Under the job's name where it is one of ours, so that its own steps know of it."""
    ours = {record.hash for record in client.jobs()}
    if opened.case.subject in ours and opened.opener == client.market.escrow.address:
        return Matter("0x" + opened.case.subject.hex(), opened.opener, opened.case)
    return Matter.strange(opened.opener, opened.case)


def _paid(client: Client, opened: Opened) -> int:
    """What this account paid for the appeal."""
    return sum(a for i, a in client.events.appeals(client.address, opened.block) if i == opened.id)


def _check_phase(court: Court, view: View) -> None:
    name = f"dispute {view.id[:14]}…"
    standing = view.standing
    if view.closed:
        raise CannotDispute(f"{name} is closed: its ruling, {view.ruling.name.lower()}, is final")
    if standing.round == 1:
        raise CannotDispute(f"{name} has been appealed already: a dispute can be appealed once")
    if not view.opened.appealable:
        raise CannotDispute(
            f"{name} can't be appealed: when it was opened there were fewer than the "
            f"{court.terms.appeal_seats} seats that an appeal draws"
        )
    if why := _HELD.get(standing.phase):
        raise CannotDispute(
            f"{name}: its first panel {why}. Appeal when it has, at the latest from chain time "
            f"{standing.until} on: `agent disputes {view.id[:14]}` shows when"
        )
    if standing.phase is not Phase.APPEALABLE:
        raise CannotDispute(f"{name}: the time for an appeal is over; its ruling stands once it is closed")


def _say_stakes(client: Client, court: Court, view: View, screen: Screen) -> None:
    money, terms = client.market.money, court.terms
    cost = court.appeal_cost(view.opened.case.tokens)
    first = view.rounds[0]
    liars = {Ruling.UPHELD: first.upheld, Ruling.DISMISSED: first.dismissed}.get(view.ruling, 0).bit_count()
    most = liars * terms.seat_stake * terms.appeal_share // 10_000
    screen.say(
        f"an appeal costs {money(cost)}, pays {terms.appeal_seats} seats, and can be funded until chain "
        f"time {view.standing.until}. The first panel found: {view.ruling.name.lower()}. If that is "
        f"overturned, what no seat earned comes back and up to {money(most)} of what the first panel loses; "
        "if it is confirmed, or nothing is decided, all of it is lost"
    )


def _check_answer(client: Client, view: View, screen: Screen, force: bool) -> None:
    """By the evidence that the court's log has of it, in the clear."""
    opened, case = view.opened, view.opened.case
    model = client.model(look_up(client.market, case.model_id, case.version), screen)
    rule = Mode.EXACT if opened.exact else Mode.TOLERANT
    try:
        with screen.waiting("checking every token"):
            verdict = model.examine_case(case, opened.prompt, opened.output, rule).verdict
    except (EngineError, ValueError) as error:  # a case that was not opened by the escrow can be anything
        raise CannotDispute(
            f"the evidence can't be checked here ({error}): `--no-check` appeals without"
        ) from None
    screen.say(verdict.explain())
    if opened.exact and verdict.mode is not Mode.EXACT:
        screen.warn("this machine is not of the case's bit class: it was checked by the tolerant rule")
    ours = Ruling.UPHELD if verdict.action is Action.SLASH else Ruling.DISMISSED
    if ours is view.ruling and not force:
        raise CannotDispute(
            f"not appealed: by the court's rule the first panel was right ({ours.name.lower()}), so the cost "
            "would most likely be lost. `--force` appeals all the same"
        )


def _follow(
    client: Client,
    settler: Settler,
    court: Court,
    matter: Matter,
    opened: Opened,
    screen: Screen,
    wait: bool,
) -> Appealed:
    again = f"`agent appeal {matter.name[:14]}` carries on"
    with screen.waiting("appealing") as update:
        try:
            while wait:
                move = settler.court.step(court, matter)
                if move.closed:
                    break
                if not move.moved:
                    update(f"waiting for {move.waits_for}" + (f", until {move.until}" if move.until else ""))
                    sleep(client.settings.poll)
        except ChainUnreachable as error:
            raise Unfinished(f"{error}. The appeal goes on: {again}") from None
        except KeyboardInterrupt:
            raise Unfinished(f"interrupted: the appeal goes on; {again}") from None
    view = look(client.market, court, opened)
    closing = client.events.closing(opened.id, opened.block)
    return Appealed(view, _paid(client, opened), closing.to_funder if closing else None)
