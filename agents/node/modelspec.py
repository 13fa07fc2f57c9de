"""How a model to serve is written: TRAINER/NAME[@VERSION][=INPUT_PRICE:OUTPUT_PRICE]."""

import re
from dataclasses import dataclass

from agents.market.errors import BadReference
from agents.market.reference import Reference

_PRICES = re.compile(r"([0-9]{1,19}):([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve. `version` None is the latest when the node starts; prices None are the node's own."""

    model_id: int
    version: int | None = None
    input_price: int | None = None
    output_price: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelSpec":
        """Read it.

        Raises:
            ValueError: it has another form.
        """
        name, equals, prices = text.partition("=")
        try:
            reference = Reference.parse(name)
        except BadReference as error:
            raise ValueError(str(error)) from None
        if reference.model_id is None:
            raise ValueError(f"{name} alone may be anybody's model: write 0xTRAINER/{name}")
        found = _PRICES.fullmatch(prices)
        if equals and not found:
            raise ValueError(
                f"{prices[:40]!r} are no prices: write {name}=INPUT:OUTPUT, base units per million tokens"
            )
        given = (int(found[1]), int(found[2])) if found else (None, None)
        return cls(reference.model_id, reference.version, *given)
