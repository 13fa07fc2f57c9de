"""A model version's manifest (docs/protocol.md section 6): what the registry's digest names.

The bytes are canonical JSON, so one manifest has one digest, and its CID is CIDv1(raw, sha2-256, digest).
"""

import hashlib
import json
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .cid import RAW, Cid

MAX_BYTES = 1 << 20
"""A manifest is one block, so that every IPFS node passes it on."""

MAX_CONTEXT = 1 << 24
"""Tokens; a longer context is no model's. The weights' own bounds it too (docs/protocol.md section 6)."""

_MAX_INT = (1 << 53) - 1
_NESTING = 32


class ManifestError(ValueError):
    """A manifest, or other canonical JSON, that breaks the format; the text says where and how."""


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no white space.

    Raises:
        ManifestError: floats, integers beyond 2^53 - 1, keys that are not text, other types, deep nesting.
    """
    _check_plain(value, "$", 0)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ManifestError("text holds a lone surrogate, which UTF-8 can't carry: mend the text") from None


def parse_canonical_json(data: bytes) -> Any:
    """Read canonical JSON and nothing else.

    Raises:
        ManifestError: not JSON, floats, repeated keys, or bytes that are not the canonical form.
    """
    try:
        value = json.loads(
            data.decode(), parse_float=_no_float, parse_constant=_no_float, object_pairs_hook=_unique
        )
    except ManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"not JSON in UTF-8: {str(error)[:200]}") from None
    if canonical_json(value) != data:
        raise ManifestError("the JSON is not canonical (sorted keys, no white space, UTF-8): write it again")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


def _is_cid(text: str) -> str:
    Cid.parse(text)
    return text


CidText = Annotated[str, AfterValidator(_is_cid)]
Micro = Annotated[int, Field(ge=0, lt=1 << 32)]
Size = Annotated[int, Field(gt=0, le=_MAX_INT)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 32)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
BitClass = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(min_length=1, max_length=64)]


class Weights(_Strict):
    """The base weights: one file by CID, `size` bytes."""

    cid: CidText
    size: Size
    format: Literal["gguf"]
    quantization: Label

    @property
    def parsed_cid(self) -> Cid:
        """The CID, parsed."""
        return Cid.parse(self.cid)


class Adapter(_Strict):
    """A LoRA adapter over the weights: one file by CID, `size` bytes."""

    cid: CidText
    size: Size

    @property
    def parsed_cid(self) -> Cid:
        """The CID, parsed."""
        return Cid.parse(self.cid)


class Thresholds(_Strict):
    """Bounds on margins, in micro-logits: above `refuse_*` do not pay, above `slash_*` dispute."""

    refuse_max: Micro
    refuse_mean: Micro
    slash_max: Micro
    slash_mean: Micro

    @model_validator(mode="after")
    def _ordered(self) -> "Thresholds":
        if self.refuse_max > self.slash_max or self.refuse_mean > self.slash_mean:
            raise ValueError("refuse thresholds must not lie above slash thresholds")
        return self


class ExactThresholds(_Strict):
    """The exact tier: every margin above 0 refuses, one above `slash_max` (micro-logits) is disputed."""

    slash_max: Micro


class TolerantThresholds(_Strict):
    """The tolerant tier, at temperature 0 and above it."""

    greedy: Thresholds
    sampled: Thresholds


class Verification(_Strict):
    """Thresholds of both tiers."""

    exact: ExactThresholds
    tolerant: TolerantThresholds

    def each(self) -> dict[str, int]:
        """Every threshold by its place, such as "tolerant.greedy.slash_max", micro-logits."""
        found = {f"exact.{name}": value for name, value in self.exact}
        for way, thresholds in self.tolerant:
            found |= {f"tolerant.{way}.{name}": value for name, value in thresholds}
        return found

    def raised(self) -> "Verification":
        """These thresholds, none below `FLOORS`."""
        own, least = self.tolerant, FLOORS.tolerant
        return Verification(
            exact=ExactThresholds(slash_max=max(self.exact.slash_max, FLOORS.exact.slash_max)),
            tolerant=TolerantThresholds(
                greedy=_larger(own.greedy, least.greedy), sampled=_larger(own.sampled, least.sampled)
            ),
        )


def _larger(one: Thresholds, other: Thresholds) -> Thresholds:
    return Thresholds(**{name: max(value, getattr(other, name)) for name, value in one})


FLOORS = Verification(
    exact=ExactThresholds(slash_max=20_000),
    tolerant=TolerantThresholds(
        greedy=Thresholds(refuse_max=50_000, refuse_mean=2_000, slash_max=3_000_000, slash_mean=150_000),
        sampled=Thresholds(refuse_max=50_000, refuse_mean=2_000, slash_max=4_500_000, slash_mean=120_000),
    ),
)
"""The least thresholds a manifest may have, for every model, micro-logits: whoever publishes a model must not
be able to slash its honest nodes.

Exact margins are 0 within a bit class, and below .02 only refuse until that is proved on more machines. The
tolerant ones lie at twice the largest margin, and four times the largest mean, that an honest answer had when
another kind of machine read it: 1.56 and .036 greedy, 2.25 and .031 sampled (docs/rastic.md, "Honest
answers"). What refuses costs no stake; its floors only keep it above nothing.
"""


def check_floors(rules: Verification) -> Verification:
    """The same rules, if none lies below `FLOORS`.

    Raises:
        ManifestError: one does; the text names it.
    """
    floors = FLOORS.each()
    each = ((place, value, floors[place]) for place, value in rules.each().items())
    if low := [f"{place} is {value}, at least {least}" for place, value, least in each if value < least]:
        raise ManifestError(
            "thresholds below the protocol's floors, by which honest nodes would be slashed: "
            f"{'; '.join(low)} (micro-logits). Raise them"
        )
    return rules


class Manifest(_Strict):
    """One version of a model. `tokenizer` and `chat_template` are text, or "gguf": those in the weights."""

    format: Literal["capek-manifest/1"]
    name: Name
    licence: Label
    weights: Weights
    adapter: Adapter | None
    tokenizer: Text
    chat_template: Text
    end_tokens: Annotated[tuple[TokenId, ...], Field(min_length=1, max_length=64)]
    context_length: Annotated[int, Field(gt=0, le=MAX_CONTEXT)]
    profile: Label
    verification: Annotated[Verification, AfterValidator(check_floors)]
    bit_classes: Annotated[tuple[BitClass, ...], Field(max_length=256)]

    @classmethod
    def load(cls, data: bytes, digest: bytes | None = None) -> "Manifest":
        """Read a manifest's bytes; with `digest`, only those the registry names.

        Raises:
            ManifestError: too large, wrong digest, not canonical JSON, unknown or missing keys, bad values.
        """
        if len(data) > MAX_BYTES:
            raise ManifestError(f"a manifest has at most {MAX_BYTES} bytes, this has {len(data)}")
        if digest is not None and (found := hashlib.sha256(data).digest()) != digest:
            raise ManifestError(
                f"these bytes have sha2-256 0x{found.hex()}, the registry names 0x{digest.hex()}: "
                "fetch the manifest again from another peer"
            )
        parse_canonical_json(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise ManifestError(f"the manifest does not fit capek-manifest/1: {_where(error)}") from None

    def to_bytes(self) -> bytes:
        """The canonical JSON.

        Raises:
            ManifestError: above 1 MiB.
        """
        data = canonical_json(self.model_dump(mode="json"))
        if len(data) > MAX_BYTES:
            raise ManifestError(f"a manifest has at most {MAX_BYTES} bytes, this has {len(data)}")
        return data

    def digest(self) -> bytes:
        """sha2-256 of the canonical JSON (32 bytes), as ModelRegistry stores it."""
        return hashlib.sha256(self.to_bytes()).digest()

    def cid(self) -> Cid:
        """The CID of the canonical JSON as one raw block."""
        return manifest_cid(self.digest())


def manifest_cid(digest: bytes) -> Cid:
    """The CID under which a manifest is found, from the digest in the registry."""
    return Cid(RAW, digest)


def _where(error: ValidationError) -> str:
    # pydantic's own text repeats the input, which may be long: name the place and the reason alone
    parts = [f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors()[:5]]
    return "; ".join(parts)


def _check_plain(value: object, where: str, depth: int) -> None:
    if depth > _NESTING:
        raise ManifestError(f"{where} is nested deeper than {_NESTING} levels")
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if abs(value) > _MAX_INT:
            raise ManifestError(f"{where} is beyond 2^53 - 1: write it as a decimal string")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ManifestError(f"{where} has a key that is not text")
            _check_plain(item, f"{where}.{key[:40]}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check_plain(item, f"{where}[{i}]", depth + 1)
    elif isinstance(value, float):
        raise ManifestError(f"{where} is a float, which has no one text: use integers in micro units")
    else:
        raise ManifestError(f"{where} is of type {type(value).__name__}, which JSON does not have")


def _no_float(text: str) -> NoReturn:
    raise ManifestError(f"{text[:40]} is a float, which has no one text: use integers in micro units")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ManifestError("a key is repeated in one object: write each once")
    return value
