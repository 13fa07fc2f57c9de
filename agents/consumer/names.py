"""What a model's name stands for. A name proves nothing: anybody may register `smollm2`. So a short name is
pinned to the model it meant when it was first used here, and another one is refused under it."""

from collections.abc import Sequence

from agents.consumer.book import Book
from agents.market.errors import NoModel
from agents.market.events import Events
from agents.market.models import ModelVersion, look_up
from agents.market.reads import Market
from agents.market.reference import Reference
from agents.terminal.exits import BadInput

_SHOWN = 5


def resolve(
    market: Market, events: Events, book: Book, text: str, version: int | None = None
) -> ModelVersion:
    """The exact version that `text` stands for; the latest when neither it nor `version` names one.

    Raises:
        BadReference, BadInput: the text has no model's form, or names another version than `version`.
        NoModel: unknown, ambiguous, or not the model this name was pinned to.
    """
    wanted = Reference.parse(text)
    if version is not None and wanted.version not in (None, version):
        raise BadInput(f"{text} names version {wanted.version}, --version {version}: give one of them")
    chosen = version if version is not None else wanted.version
    if wanted.model_id is not None:
        return look_up(market, wanted.model_id, chosen)
    assert wanted.name is not None
    number = _pinned(market, events, book, wanted.name)
    found = look_up(market, number, chosen)
    book.pin(wanted.name, number)
    return found


def only_model(market: Market, events: Events) -> str:
    """The full name of the one model there is, for who names none.

    Raises:
        NoModel: there are none, or several.
    """
    found = [f"{e.args['trainer']}/{e.args['name']}" for e in events.registered()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NoModel(
            f"chain {market.chain_id} has no model yet: publish one (`agent trainer publish`), or "
            "use another chain"
        )
    raise NoModel(f"which model? Name one with --model (or CAPEK_MODEL):\n{_listed(found)}")


def _pinned(market: Market, events: Events, book: Book, name: str) -> int:
    pinned = book.pinned(name)
    if pinned is not None and _exists(market, pinned):
        return pinned
    found = {
        int(e.args["modelId"]): f"{e.args['trainer']}/{e.args['name']}"
        for e in events.registered()
        if e.args["name"] == name
    }
    if pinned is not None:
        others = f"; by that name it has only:\n{_listed(list(found.values()))}" if found else ""
        raise NoModel(
            f"{name} was model {pinned} when you first used it, and this chain does not have that one. "
            f"A name proves nothing, so no other is used in its place: name it in full if you mean it{others}"
        )
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise NoModel(f"chain {market.chain_id} has no model called {name}: check the name and the chain")
    raise NoModel(
        f"{len(found)} models are called {name}: name one in full:\n{_listed(list(found.values()))}"
    )


def _exists(market: Market, number: int) -> bool:
    try:
        look_up(market, number)
    except NoModel:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    rest = f"\n  and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "\n".join(f"  {name}" for name in names[:_SHOWN]) + rest
