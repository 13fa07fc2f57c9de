"""How a person names a model."""

import re
from dataclasses import dataclass

from agents.market.errors import BadReference
from agents.protocol.messages import is_checksum_address, model_id

_FORM = re.compile(
    r"(?:(?P<trainer>0x[0-9a-fA-F]{40})/(?P<full>[a-z0-9._-]{1,64})|(?P<hex>0x[0-9a-f]{1,16})|(?P<id>[0-9]{1,20})"
    r"|(?P<name>[a-z0-9._-]{1,64}))(?:@(?P<version>[0-9]{1,10}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What somebody typed: a model's number or its short name, and perhaps a version."""

    model_id: int | None
    name: str | None
    version: int | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read TRAINER/NAME, NAME, or the model's number (decimal or 0x hex), then perhaps @VERSION.

        Raises:
            BadReference: it has another form.
        """
        found = _FORM.fullmatch(text)
        if not found:
            raise BadReference(
                f"{text[:100]!r} names no model: write 0xTRAINER/name, name, or the model's number, and "
                "@version to stay on one"
            )
        number: int | None = None
        if trainer := found["trainer"]:
            if not is_checksum_address(trainer):
                raise BadReference(f"{trainer} is no checksummed address (EIP-55): copy it again")
            number = model_id(trainer, found["full"])
        elif found["hex"]:
            number = int(found["hex"], 16)
        elif found["id"]:
            number = int(found["id"])
        if number is not None and number >= 1 << 64:
            raise BadReference(f"{text[:100]} is no model's number: they have 64 bits")
        return cls(number, found["name"], None if found["version"] is None else int(found["version"]))
