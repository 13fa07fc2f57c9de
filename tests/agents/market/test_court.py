"""The court's bindings against a real court: what is computed here is what the contract computes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from eth_utils.crypto import keccak

from agents.chain.connection import Connection
from agents.chain.contracts import Contract, Event
from agents.chain.devchain import DevChain
from agents.chain.errors import Reverted
from agents.market.court import Court, Phase, Progress, Ruling, Vote, decode_opened
from agents.market.court_calls import appeal_data, challenge_data
from agents.market.errors import BadEvidence
from agents.market.events import Ballot, Events
from agents.market.evidence import Case
from agents.market.reads import Market
from agents.protocol.messages import from_json, to_json
from agents.protocol.sortition import pick, witness_positions
from gas.court import APPEAL_WINDOW, DISMISSED, PERIOD, UPHELD, CourtWorld
from gas.world import DOLLAR, START, World, account

TOKENS = 16


@dataclass(frozen=True)
class Stage:
    """A market with a court, and a client with money."""

    world: CourtWorld
    market: Market
    court: Court
    events: Events

    def standing(self, id: bytes) -> tuple[Phase, int]:
        found = self.court.standing(id)
        return found.phase, found.round


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with DevChain(extra=("--timestamp", str(START), "--gas-limit", "60000000", "--base-fee", "0")) as chain:
        world = CourtWorld(chain)
        world.settle_in()
        market = market_of(chain.connect(), world)
        court = market.court
        assert court is not None
        world.fund(account("client"), 1000 * DOLLAR)
        yield Stage(world, market, court, Events(market))


def market_of(connection: Connection, world: World) -> Market:
    found = {
        "Vault": world.vault.address, "ModelRegistry": world.models.address,
        "NodeRegistry": world.registry.address, "JobEscrow": world.escrow.address,
        "TuningGovernor": world.governor.address,
    }  # fmt: skip
    contracts = {name: Contract(connection, name, address) for name, address in found.items()}
    token = Contract(connection, "DevUSD", world.token.address)
    return Market(connection, contracts | {"token": token}, 0)


def test_terms_and_what_follows_from_them_are_the_contracts(stage: Stage) -> None:
    court = stage.court
    assert court.address == stage.world.court.address
    assert (court.terms.first_seats, court.terms.appeal_seats, court.terms.appeal_window) == (3, 15, 3600)
    for tokens in (1, 16, 16_384):
        assert court.fee(tokens) == court.contract.call("feeFor", tokens)
        assert court.bond(tokens) == court.contract.call("bondFor", tokens)
        assert court.appeal_cost(tokens) == court.contract.call("appealCost", tokens)
    assert court.period(stage.world.time) == stage.world.time // PERIOD


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 300, 16_384])
def test_witness_positions_are_the_contracts(stage: Stage, tokens: int) -> None:
    for lot in (0, 1, 2**64 - 1, int.from_bytes(keccak(text="lot")[:8], "big")):
        found = stage.court.contract.call("witnessPositions", lot, tokens)
        assert witness_positions(lot, tokens) == list(found)


def test_a_draw_is_of_different_numbers_and_of_no_more_than_there_are() -> None:
    assert sorted(pick(bytes(32), 15, 15)) == list(range(15))
    with pytest.raises(ValueError, match="do not exist"):
        pick(bytes(32), 2, 3)


def test_seats(stage: Stage) -> None:
    court, world = stage.court, stage.world
    now = court.period(world.time)
    numbers = court.pool_seats(world.model_id, world.bit_class, now)
    assert len(numbers) == court.pool_size(world.model_id, world.bit_class, now)
    assert court.pool_size(world.model_id, world.bit_class, 0) == 0
    seat = court.seat(numbers[0])
    assert (seat.model_id, seat.bit_class, seat.leaves_at) == (world.model_id, world.bit_class, 0)
    assert seat.node in world.judges
    assert seat.stake == court.terms.seat_stake
    assert court.seat(10**6).stake == 0
    taken = stage.events.seats(seat.node)
    assert [found.bit_class for found in taken] == [bytes(32), world.bit_class]
    assert numbers[0] in {found.seat for found in taken}
    assert {found.model_id for found in taken} == {world.model_id}
    assert all(found.from_period <= now for found in taken)
    assert stage.events.seats(seat.node, since=taken[0].block + 1) == taken[1:]
    assert stage.events.seats(account("client").address) == []


def test_a_dispute_from_its_opening_to_its_end(stage: Stage) -> None:
    world, court, events = stage.world, stage.court, stage.events
    since = events.last()
    disputed = world.challenge(account("client"), TOKENS, exact=True)
    job_hash = disputed.found.completion.job_hash
    assert events.client_of(job_hash, since) == account("client").address
    assert events.client_of(bytes(32), since) is None
    opened = events.dispute_of(job_hash, since)
    assert opened is not None
    assert opened.id == disputed.id == court.dispute_id(opened.opener, opened.case)
    assert opened.opener == world.escrow.address
    assert opened.case.as_tuple() == disputed.case
    assert (opened.exact, opened.network, opened.appealable) == (True, False, True)
    assert (len(opened.prompt), len(opened.output)) == (TOKENS, TOKENS)
    assert from_json(Case, to_json(opened.case)) == opened.case
    assert list(events.disputes(since)) == [opened]
    assert events.dispute(opened.id, since) == opened
    assert events.dispute_of(bytes(32), since) is None
    assert stage.standing(opened.id) == (Phase.DRAWING, 0)
    assert court.round(opened.id, 0).progress is Progress.REQUESTED
    with pytest.raises(Reverted) as early:
        court.panel(opened.id, 0)
    assert early.value.name == "NotYet"

    world.vote(disputed, 0, [UPHELD, DISMISSED, UPHELD], draws=True)
    assert stage.standing(opened.id) == (Phase.APPEALABLE, 0)
    assert court.ruling(opened.id) is Ruling.UPHELD
    panel = court.panel(opened.id, 0)
    assert panel.members == tuple(court.seat(n).node for n in panel.seats)
    assert 1 in panel.indices(panel.members[1])
    held = court.round(opened.id, 0)
    assert (held.committed, held.revealed, held.upheld, held.dismissed) == (7, 7, 5, 2)
    assert (held.has(held.upheld, 0), held.has(held.upheld, 1)) == (True, False)
    assert (held.closed, held.network, held.appealable, held.appealed) == (False, False, True, False)
    before = stage.market.connection.latest().number
    witness = keccak(opened.id)
    assert events.votes(opened.id, since) == [
        Ballot(0, 0, Vote.UPHELD, witness), Ballot(0, 1, Vote.DISMISSED, witness),
        Ballot(0, 2, Vote.UPHELD, witness),
    ]  # fmt: skip
    assert events.closing(opened.id, since) is None

    world.wait(APPEAL_WINDOW + 1)
    world.close(disputed)
    assert stage.standing(opened.id) == (Phase.FINAL, 0)
    assert court.round(opened.id, 0).closed
    assert not court.round(opened.id, 0, block=before).closed
    assert court.panel(opened.id, 0).members == ()
    assert court.panel(opened.id, 0, block=before) == panel
    assert court.ruling(opened.id, block=before) is Ruling.UPHELD
    closing = events.closing(opened.id, since)
    assert closing is not None
    assert (closing.ruling, closing.told, closing.to_funder) == (Ruling.UPHELD, True, 0)
    assert closing.paid_to_seats == 2 * court.fee(2 * TOKENS)


def test_a_commitment_is_the_contracts(stage: Stage) -> None:
    id, witness, salt = keccak(text="id"), keccak(text="witness"), keccak(text="salt")
    voter = stage.world.node.address
    for vote in (Vote.UPHELD, Vote.UNABLE):
        expected = stage.court.contract.call("commitmentOf", id, 1, 14, voter, vote, witness, salt)
        assert stage.court.commitment(id, 1, 14, voter, vote, witness, salt) == bytes(expected)


def test_the_paying_verbs_are_what_the_contracts_take(stage: Stage) -> None:
    world, court, market = stage.world, stage.court, stage.market
    client, since = account("client"), stage.events.last()
    disputed = world.challenge(client, TOKENS, exact=False)
    # The same again is refused because of the job's status: everything before that was understood.
    opened = stage.events.dispute(disputed.id, since)
    assert opened is not None
    assert not opened.exact
    job, completion = disputed.found.job, disputed.found.completion
    data = challenge_data(
        market, job, completion, opened.case.secret, opened.prompt, opened.output, court.bond(2 * TOKENS)
    )
    with pytest.raises(Reverted, match="WrongStatus"):
        market.vault.call("payAndCall", *decoded(market, data), sender=client.address)

    world.vote(disputed, 0, [UPHELD] * 3, draws=False)
    data = appeal_data(market, court, opened.opener, opened.case)
    market.vault.call("payAndCall", *decoded(market, data), sender=client.address)
    address, amount, call = decoded(market, data)
    with pytest.raises(Reverted, match="WrongAmount"):
        market.vault.call("payAndCall", address, amount - 1, call, sender=client.address)
    world.appeal(disputed, client)
    assert stage.standing(disputed.id) == (Phase.DRAWING, 1)
    assert stage.events.appeals(client.address, since) == [(disputed.id, court.appeal_cost(2 * TOKENS))]
    assert stage.events.appeals(world.node.address, since) == []
    first = court.round(disputed.id, 0)
    assert (first.appealable, first.appealed) == (True, True)


def decoded(market: Market, data: bytes) -> tuple[str, int, bytes]:
    _, args = market.connection.w3.eth.contract(
        market.vault.address, abi=list(market.vault.artifact.abi)
    ).decode_function_input(data)
    return args["to"], args["amount"], args["data"]


def test_what_cannot_be_read_hides_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    world, events = stage.world, stage.events
    since = events.last()
    disputed = world.challenge(account("client"), TOKENS, exact=True)
    (event,) = stage.events.dispute_log(disputed.id, ["DisputeOpened"], since)

    def changed(evidence: bytes) -> Event:
        return replace(event, args={**event.args, "evidence": evidence})

    good = bytes(event.args["evidence"])
    with pytest.raises(BadEvidence, match="can't be read"):
        decode_opened(changed(good[:-64]))
    with pytest.raises(BadEvidence, match="can't be read"):
        decode_opened(changed(b""))
    with pytest.raises(BadEvidence, match="not as long"):
        decode_opened(changed(good[: 5 * 32] + (TOKENS + 1).to_bytes(32, "big") + good[6 * 32 :]))

    from agents.market import events as module

    ids = []

    def first_fails(found: Event) -> object:
        ids.append(found.args["id"])
        if len(ids) == 1:
            raise BadEvidence("bad")
        return decode_opened(found)

    other = world.challenge(account("client"), TOKENS, exact=True)
    monkeypatch.setattr(module, "decode_opened", first_fails)
    assert [found.id for found in events.disputes(since)] == [other.id]


def test_without_a_court_there_are_no_disputes() -> None:
    with DevChain(extra=("--timestamp", str(START))) as chain:
        market = market_of(chain.connect(), World(chain))
        assert market.court is None
        events = Events(market)
        assert list(events.disputes(0)) == []
        assert events.dispute_of(bytes(32), 0) is None
        assert events.closing(bytes(32), 0) is None
        assert events.votes(bytes(32), 0) == []
        assert events.appeals(account("client").address, 0) == []
        assert events.seats(account("client").address) == []
