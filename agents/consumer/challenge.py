"""From "this answer is wrong" to the court's ruling and what it means in money."""

from collections.abc import Callable
from dataclasses import dataclass
from time import sleep

from agents.chain.errors import ChainUnreachable
from agents.chain.outbox import State
from agents.consumer.book import Record, choose
from agents.consumer.client import Client
from agents.consumer.errors import CannotDispute, Unfinished, UnknownJob
from agents.consumer.settle import Settler, Standing
from agents.market.account import journal_path
from agents.market.reads import Status
from agents.protocol.messages import Completion
from agents.rastic import Action
from agents.terminal.screen import Screen

Confirm = Callable[[str], bool]
"""Asks a person; True to go on."""

_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class How:
    """check: repeat the check first. force: challenge though the check does not call for it. wait: follow it
    to the ruling. appeal: fund an appeal if the first panel dismisses."""

    check: bool = True
    force: bool = False
    wait: bool = True
    appeal: bool = False


def challenge(
    client: Client, wanted: str, how: How, screen: Screen, confirm: Confirm | None = None
) -> Record:
    """Challenge a job's answer, or carry on with a challenge that was begun; the job as far as it came.

    Args:
        wanted: the job's hash, or its beginning.
        confirm: asked before a challenge that the check does not call for; None where nobody can answer.

    Raises:
        CannotDispute, NotEnoughMoney: nothing was sent.
        Unfinished, IntentTimeout, ChainError: the same command carries on.
    """
    settler = client.settler(screen, finish=True)
    record = _find(client, wanted)
    if record.outcome is not None:
        if "bond_back" in record.facts:
            return record
        raise CannotDispute(
            f"job {record.name[:14]}… has ended ({record.outcome.value}): there is nothing left to challenge"
        )
    record, status, until = settler.fetched(record)
    if status in (Status.DISPUTED, Status.RULED_UPHELD, Status.RULED_DISMISSED, Status.RULED_UNDECIDED):
        screen.say(f"job {record.name[:14]}… has been challenged already: carrying on")
    elif settler.challenges.begun(record) is not None:
        screen.say(f"the challenge of job {record.name[:14]}… was interrupted: carrying on")
    else:
        record = _begin(client, settler, record, status, until, how, screen, confirm)
    if how.appeal:
        record = client.book.note(record.hash, appeal="yes")
    return follow(client, settler, record, screen, wait=how.wait)


def _find(client: Client, wanted: str) -> Record:
    try:
        record = choose(client.book.all(), wanted)
    except UnknownJob:
        key = _hash(wanted)
        owner = None if key is None else client.events.client_of(key, client.market.start_block)
        if key is None or owner is None:
            raise
        raise CannotDispute(_not_here(client, key, owner)) from None
    if record.job.collector != client.market.escrow.address:
        raise CannotDispute(f"job {record.name[:14]}… belongs to another deployment (--deployment)")
    return record


def _not_here(client: Client, key: bytes, owner: str) -> str:
    name = f"job 0x{key.hex()[:12]}…"
    if owner != client.address:
        return f"{name} is {owner}'s, and only a job's client can challenge its answer (--account)"
    journal = journal_path(client.market.chain_id, owner)
    return (
        f"{name} is yours, but its secret, prompt and answer are not in the journal {journal}: without them "
        "nobody can challenge it. Bring back a copy of that file which has them"
    )


def _begin(
    client: Client,
    settler: Settler,
    record: Record,
    status: Status,
    until: int,
    how: How,
    screen: Screen,
    confirm: Confirm | None,
) -> Record:
    """Check, say what is at stake, and plan the challenge."""
    settler.challenges.check(record, status, until)
    completion = record.completion
    assert completion is not None
    worth_it, why = _verdict(settler, record, completion, how)
    screen.say(why)
    for line in at_stake(client, settler, record, completion):
        screen.say(line)
    if not worth_it and not how.force:
        question = (
            "The court, which checks by the same rule, is likely to dismiss this. Challenge all the same?"
        )
        if confirm is None or not confirm(question):
            raise CannotDispute(
                "not challenged: the check does not find the answer wrong beyond doubt, so the bond would "
                "most likely be lost. `--force` challenges all the same"
            )
    return settler.challenges.plan(record, status, until, completion)


def _verdict(settler: Settler, record: Record, completion: Completion, how: How) -> tuple[bool, str]:
    if how.check:
        found = settler.challenges.judged_for_court(record, completion)
        return found.action is Action.SLASH, found.explain()
    if record.verdict is None:
        return False, "the answer was never checked (--no-check)"
    return record.verdict["action"] == Action.SLASH, str(record.verdict["explanation"])


def at_stake(client: Client, settler: Settler, record: Record, completion: Completion) -> list[str]:
    """What a challenge costs and brings, for a person."""
    stakes, money = settler.challenges.stakes(record, completion), client.market.money
    return [
        f"a challenge costs a bond of {money(stakes.bond)}. If the court finds the answer wrong, its price "
        f"of {money(stakes.price)} comes back, {money(stakes.back)} of the bond, and up to "
        f"{money(stakes.won)} of the node's stake: {money(stakes.gain)} more than you had",
        f"if it finds the answer right, the bond is lost and the node is paid {money(stakes.price)}; if it "
        f"decides nothing, the price and {money(stakes.back)} of the bond come back. Prompt and answer "
        "become public in any case",
    ]


def follow(client: Client, settler: Settler, record: Record, screen: Screen, *, wait: bool) -> Record:
    """Step until the challenge is on chain and its panel drawn or, with `wait`, the job has ended."""
    again = f"`agent challenge {record.name[:14]}` or `agent jobs --settle` carries on"
    with screen.waiting("challenging") as update:
        try:
            while True:
                standing = settler.step(record)
                record = standing.record
                if standing.trouble is not None:
                    raise standing.trouble
                if standing.ended:
                    return record
                if standing.moved:
                    continue
                if not wait and standing.status >= Status.DISPUTED and not standing.undrawn:
                    return record
                _give_up_if_hopeless(client, settler, standing)
                until = f", at the latest until chain time {standing.until}" if standing.until else ""
                update(f"waiting for {standing.waits_for}{until}")
                sleep(client.settings.poll)
        except ChainUnreachable as error:
            raise Unfinished(f"{error}. The dispute goes on: {again}") from None
        except KeyboardInterrupt:
            raise Unfinished(f"interrupted: the dispute goes on; {again}") from None


def _give_up_if_hopeless(client: Client, settler: Settler, standing: Standing) -> None:
    """Nothing may wait for a challenge that will not come."""
    if standing.status not in (Status.COMPLETED, Status.DELIVERED):
        return
    job, begun = f"job {standing.record.name[:14]}…", settler.challenges.begun(standing.record)
    if begun is None:
        raise CannotDispute(f"{job} is not challenged: the contracts refused it. No bond was paid")
    # One that is out may still count, however late it is here.
    if begun.state is State.DONE and client.market.connection.time() > standing.until:
        raise CannotDispute(
            f"{job} is not challenged: the challenge's block was reorganised away, and its window has closed"
        )


def _hash(text: str) -> bytes | None:
    try:
        found = bytes.fromhex(text.lower().removeprefix("0x"))
    except ValueError:
        return None
    return found if len(found) == _HASH_BYTES else None
