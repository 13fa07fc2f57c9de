"""Which node to ask: whoever serves the model, has stake to answer with, and asks least for this prompt."""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agents.chain.errors import ChainUnreachable
from agents.consumer.errors import NoNode
from agents.consumer.node_api import NodeApi, NodeError, NodeGone, printable
from agents.market.endpoints import refusal
from agents.market.reads import Market
from agents.protocol.messages import MAX_TOKENS
from agents.protocol.pricing import PER_MILLION
from agents.protocol.wire import Offer, OfferedModel, WireError

_AT_ONCE = 32
_READS_AT_ONCE = 8
_NO_CLASS = bytes(32)
_EXACT_WEIGHT, _TOLERANT_WEIGHT = 4, 5
"""A node that is checked by the tolerant rule goes first only when it is cheaper by more than a fifth: else
every node could choose the weaker check for itself, by asking a unit less."""
_MOST_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for. `prompt_tokens` and `max_tokens` price it; `most` (base units) is what it may cost
    at the most, `demand_fee` (for demanding the answer on chain) included; `bit_class` is ours, zero when
    this machine promises nothing, and `known_classes` are those that the model was published with. With
    `exact`, nodes of our own class alone."""

    model_id: int
    version: int
    model_fee: int
    prompt_tokens: int
    max_tokens: int
    bit_class: bytes
    most: int | None = None
    node: str | None = None
    demand_fee: int = 0
    known_classes: frozenset[bytes] = frozenset()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """A node with enough stake free for one more job. `key`, from the registry, seals prompts."""

    address: str
    operator: str
    key: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that offers what is wanted. `price`: base units for the whole prompt and the longest answer."""

    provider: Provider
    offer: OfferedModel
    price: int
    exact: bool

    @property
    def bit_class(self) -> bytes:
        return bytes.fromhex(self.offer.bit_class[2:])


@dataclass(frozen=True, slots=True)
class FellOut:
    """A node that was not chosen, and why."""

    address: str
    why: str

    def __str__(self) -> str:
        return f"{self.address}: {printable(self.why, _MOST_SHOWN)}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found: candidates, the best first, and everybody else."""

    candidates: tuple[Candidate, ...]
    fell_out: tuple[FellOut, ...]


def survey(
    market: Market,
    wanted: Wanted,
    *,
    timeout: float = 5.0,
    most_nodes: int = 200,
    allow_private: bool = False,
    seed: int | None = None,
    shunned: Callable[[str], str | None] = lambda _: None,
) -> Survey:
    """Ask every node that has stake for the model what it charges.

    `shunned` says why a node is not to be asked, if it is not; who names a node has it asked all the same.

    Among equals one is drawn (by `seed`), so that one node does not get everything. Whatever one node has
    registered or answers, it alone falls out for it.

    Raises:
        NoNode: nobody serves the model at all, or not the node asked for.
        ChainUnreachable: the registry can't be read.
    """
    addresses, total = market.providers(wanted.model_id, most_nodes)
    if wanted.node is not None:
        if wanted.node not in addresses and market.provision(wanted.node, wanted.model_id).amount == 0:
            raise NoNode(f"node {wanted.node} has no stake for this model: leave --node out, or name another")
        addresses, total = [wanted.node], 1
    if not addresses:
        raise NoNode("no node has staked for this model: run one (`agent node`), or ask for another model")
    random.Random(seed).shuffle(addresses)
    found_out = [
        FellOut(address, why) for address in addresses if wanted.node is None and (why := shunned(address))
    ]
    addresses = [a for a in addresses if a not in {out.address for out in found_out}]
    total -= len(found_out)
    market.terms  # noqa: B018 - read once, before threads ask for it
    with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="registry") as pool:
        found = list(pool.map(lambda address: _provider(market, address, wanted.model_id), addresses))
    able = [provider for provider in found if isinstance(provider, Provider)]
    fell_out = [*found_out, *(reason for reason in found if isinstance(reason, FellOut))]
    answers = asyncio.run(_offers(able, timeout, market.chain_id, allow_private))
    candidates: list[Candidate] = []
    for provider, answer in zip(able, answers, strict=True):
        try:
            if isinstance(answer, Exception):
                raise answer
            candidates.append(_candidate(market, provider, answer, wanted))
        except (NodeError, _Unfit) as error:
            fell_out.append(FellOut(provider.address, str(error)))
        except Exception as error:
            fell_out.append(
                FellOut(provider.address, f"its address or its offer is unusable ({type(error).__name__})")
            )
    if total > len(addresses):
        fell_out.append(FellOut(f"{total - len(addresses)} more nodes", "not asked (CAPEK_MAX_NODES)"))
    candidates.sort(key=lambda c: (c.price * (_EXACT_WEIGHT if c.exact else _TOLERANT_WEIGHT), not c.exact))
    return Survey(tuple(candidates), tuple(fell_out))


def nobody(found: Survey, tried: Sequence[FellOut] = ()) -> NoNode:
    """The error that tells what was tried."""
    lines = [f"  {reason}" for reason in (*tried, *found.fell_out)]
    return NoNode("no node takes this job:\n" + "\n".join(lines))


class _Unfit(Exception):
    """Why an offer is not a candidate."""


def _provider(market: Market, address: str, model_id: int) -> Provider | FellOut:
    try:
        return _registered(market, address, model_id)
    except ChainUnreachable:
        raise
    except Exception as error:
        return FellOut(address, f"its entry in the registry can't be read ({type(error).__name__})")


def _registered(market: Market, address: str, model_id: int) -> Provider | FellOut:
    free, penalty = market.provision(address, model_id).free, market.terms.penalty
    if free < penalty:
        return FellOut(
            address,
            f"its free stake for this model, {market.money(free)}, is below the penalty of "
            f"{market.money(penalty)}",
        )
    found = market.node(address)
    if not found.exists or not found.endpoint:
        return FellOut(address, "the registry has no operator or no address for it")
    return Provider(address, found.operator, found.encryption_key, found.endpoint.rstrip("/"))


async def _offers(
    providers: Sequence[Provider], timeout: float, chain_id: int, allow_private: bool
) -> list[Offer | Exception]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(provider: Provider) -> Offer:
        async with gate:
            why = await asyncio.to_thread(refusal, provider.endpoint, chain_id, allow_private=allow_private)
            if why is not None:
                raise NodeGone(why)
            return await NodeApi(provider.endpoint, timeout).offer()

    found = await asyncio.gather(*map(one, providers), return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer
    return [f for f in found if isinstance(f, (Offer, Exception))]


def _candidate(market: Market, provider: Provider, offer: Offer, wanted: Wanted) -> Candidate:
    domain = market.domain
    try:
        signer = offer.signer()
    except WireError as error:
        raise _Unfit(str(error)) from None
    if signer != provider.operator:
        raise _Unfit(f"its offer is signed by {signer}, its operator is {provider.operator}")
    if offer.node != provider.address:
        raise _Unfit(f"its offer is that of another node, {offer.node}")
    if int(offer.chain_id) != domain.chain_id or offer.vault != domain.vault:
        raise _Unfit(f"its offer is for another deployment (chain {offer.chain_id}, Vault {offer.vault})")
    if bytes.fromhex(offer.encryption_key[2:]) != provider.key:
        raise _Unfit("the key in its offer is not the one in the registry")
    model = next(
        (m for m in offer.models if int(m.model_id) == wanted.model_id and m.version == wanted.version), None
    )
    if model is None:
        raise _Unfit(f"it does not offer version {wanted.version} of this model now")
    tokens = wanted.prompt_tokens + wanted.max_tokens
    if tokens > min(model.context_length, MAX_TOKENS):
        raise _Unfit(f"it takes {model.context_length} tokens at the most, prompt and answer need {tokens}")
    prices = int(model.input_price), int(model.output_price)
    if max(prices) >= 1 << 64:
        raise _Unfit("its price does not fit a job")
    if min(prices) < wanted.model_fee:
        raise _Unfit(
            f"its price lies below the model's own fee of {market.money(wanted.model_fee)} a million tokens"
        )
    price = -(-(wanted.prompt_tokens * prices[0] + wanted.max_tokens * prices[1]) // PER_MILLION)
    if wanted.most is not None and price + wanted.demand_fee > wanted.most:
        fee = wanted.demand_fee
        more = f" and {market.money(fee)} to demand an answer it withholds (--no-demand)" if fee else ""
        limit = market.money(wanted.most)
        raise _Unfit(f"it asks up to {market.money(price)}{more}, above your limit of {limit}")
    bit_class = bytes.fromhex(model.bit_class[2:])
    if bit_class not in wanted.known_classes | {_NO_CLASS, wanted.bit_class}:
        raise _Unfit("its bit class is neither this machine's nor one that the model was published with")
    exact = bit_class == wanted.bit_class != _NO_CLASS
    if wanted.exact and not exact:
        raise _Unfit("it is not of this machine's bit class (--exact)")
    return Candidate(provider, model, price, exact)
