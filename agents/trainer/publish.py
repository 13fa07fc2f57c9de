"""From a GGUF file to a model on the market: weights and manifest in the store, name and token on chain."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.chain.outbox import IntentFailed, State
from agents.engine.native import CANONICAL
from agents.market.account import Account
from agents.market.errors import NoModel
from agents.market.models import IN_FILE, look_up
from agents.protocol.cid import Cid
from agents.protocol.manifest import (
    ExactThresholds,
    Manifest,
    ManifestError,
    Thresholds,
    TolerantThresholds,
    Verification,
    Weights,
    check_floors,
    manifest_cid,
)
from agents.protocol.messages import model_id
from agents.storage.errors import StorageError
from agents.storage.local import LocalStore
from agents.trainer.errors import BadModel, NameTaken, PublishFailed
from agents.trainer.facts import read
from agents.trainer.trial import try_out

RULES = Verification(
    exact=ExactThresholds(slash_max=20_000),
    tolerant=TolerantThresholds(
        greedy=Thresholds(refuse_max=1_560_000, refuse_mean=84_000, slash_max=3_120_000, slash_mean=250_000),
        sampled=Thresholds(refuse_max=2_490_000, refuse_mean=74_000, slash_max=4_970_000, slash_mean=250_000),
    ),
)
"""Thresholds until a model has been calibrated, micro-logits (docs/protocol.md section 6).

What a calibration of SmolLM2-135M on 300 honest answers a way of sampling gives (docs/rastic.md), to refuse
one honest answer in 10,000; tighter ones (.6 and 1.2) had refused 3 of those 600. Only the mean's slash
threshold is higher than fitted: a model that nobody calibrated is no reason to slash for less.
"""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PLAIN_NUMBER = re.compile(r"[0-9]{1,20}|0x[0-9a-f]{1,16}")
_SYMBOL = re.compile(r"[A-Za-z0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What to publish. `fee` in base units per million tokens, `supply` in the model token's base units (18
    decimals). `rules` are its thresholds, best from `agent trainer calibrate`.
    """

    file: Path
    name: str
    licence: str
    fee: int
    symbol: str
    supply: int
    rules: Verification = RULES


@dataclass(frozen=True, slots=True)
class Published:
    """A model on chain. `transaction` is empty when it had been there before."""

    model_id: int
    trainer: str
    name: str
    token: str
    manifest: Manifest
    manifest_cid: Cid
    fee: int
    transaction: str

    @property
    def label(self) -> str:
        """Its full name."""
        return f"{self.trainer}/{self.name}"


def default_symbol(name: str) -> str:
    """Letters and digits of a model's name, in capitals."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())[:11] or "MODEL"


def publish(account: Account, store: LocalStore, wish: Wish, say: Callable[[str], None]) -> Published:
    """Publish, or find that just this has been published. What was begun and interrupted is carried on.

    Raises:
        BadModel: the file, a name or a number can't be used.
        NameTaken: this trainer has another model of that name.
        PublishFailed: the registry refused.
        IntentTimeout, OutOfGasMoney: not on chain yet; publish again.
    """
    _check(wish)
    manifest = make_manifest(store, wish, account.settings.threads, say)
    number = model_id(account.address, wish.name)
    known = _known(account, number)
    if known is not None:
        _compare(store, wish, manifest, known)
        say("published before, nothing to do")
        return _published(account, number, wish, manifest, "")
    say(f"registering {account.address}/{wish.name}")
    data = account.market.models.data(
        "register", wish.name, wish.symbol, manifest.digest(), wish.fee, wish.supply
    )
    registry = account.market.models.address
    subject, action = f"model {number} in {registry}", "register"
    account.outbox.put(subject, action, registry, data)
    account.outbox.retry(subject, action, data)
    if (intent := account.outbox.status(subject, action)) and intent.state is State.QUEUED:
        # An earlier attempt with other words that was never sent must not go out now.
        account.outbox.drop(subject, action)
        account.outbox.put(subject, action, registry, data)
    try:
        done = account.wait(subject, action)
    except IntentFailed as error:
        raise PublishFailed(f"the registry refused {wish.name}: {error}") from None
    known = _known(account, number)
    if known is not None:
        _compare(store, wish, manifest, known)
    return _published(account, number, wish, manifest, "0x" + (done.tx_hash or b"").hex())


def make_manifest(store: LocalStore, wish: Wish, threads: int | None, say: Callable[[str], None]) -> Manifest:
    """Read, try out and store the weights; the manifest, stored too.

    Raises:
        BadModel: the file can't be published.
        StorageError: no room.
    """
    facts = read(wish.file)
    what = f"{facts.architecture}, {facts.quantization}, {facts.context_length} tokens of context"
    say(f"{wish.file.name}: {what}")
    cid = store.add_file(wish.file)
    path = store.path_of(cid)
    say(f"weights {cid}")
    say("trying the model out")
    bit_class = try_out(path, str(cid), wish.rules, threads)
    try:
        manifest = Manifest(
            format="capek-manifest/1",
            name=wish.name,
            licence=wish.licence,
            weights=Weights(
                cid=str(cid), size=path.stat().st_size, format="gguf", quantization=facts.quantization
            ),
            adapter=None,
            tokenizer=IN_FILE,
            chat_template=IN_FILE,
            end_tokens=facts.end_tokens,
            context_length=facts.context_length,
            profile=CANONICAL,
            verification=wish.rules,
            bit_classes=("0x" + bit_class.hex(),) if any(bit_class) else (),
        )
        data = manifest.to_bytes()
    except (ManifestError, ValueError) as error:
        raise BadModel(f"{wish.name} can't be published: {error}") from None
    store.add_bytes(data)
    say(f"manifest {manifest.cid()}")
    return manifest


def _check(wish: Wish) -> None:
    if not _NAME.fullmatch(wish.name):
        raise BadModel(f"{wish.name[:80]!r} is no model's name: 1 to 64 of a-z, 0-9, '-', '.', '_'")
    if _PLAIN_NUMBER.fullmatch(wish.name):
        raise BadModel(f"{wish.name} would be taken for a model's number: put a letter into the name")
    if not _SYMBOL.fullmatch(wish.symbol):
        raise BadModel(f"{wish.symbol[:40]!r} is no token's symbol: 1 to 11 letters and digits")
    if not 1 <= len(wish.licence) <= 64:
        raise BadModel("the licence is 1 to 64 characters, best an SPDX name: Apache-2.0")
    if not 0 <= wish.fee < 1 << 64:
        raise BadModel("the fee does not fit 64 bits")
    if not 0 < wish.supply < 1 << 128:
        raise BadModel("the supply must be above zero and fit 128 bits")
    try:
        check_floors(wish.rules)
    except ManifestError as error:
        raise BadModel(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Known:
    digest: bytes
    fee: int


def _known(account: Account, number: int) -> _Known | None:
    try:
        found = look_up(account.market, number, 0)
    except NoModel:
        return None
    return _Known(found.digest, found.fee)


def _compare(store: LocalStore, wish: Wish, manifest: Manifest, known: _Known) -> None:
    differing = []
    if known.digest != manifest.digest():
        differing.append(_difference(store, manifest, known.digest))
    if known.fee != wish.fee:
        differing.append(f"its fee is {known.fee} base units per million tokens, not {wish.fee}")
    if differing:
        raise NameTaken(
            f"you have published {wish.name} before, and not the same: {'; '.join(differing)}. What is "
            "published stays: choose another --name"
        )


def _difference(store: LocalStore, manifest: Manifest, digest: bytes) -> str:
    cid = manifest_cid(digest)
    try:
        old = Manifest.load(store.get_block(cid), digest)
    except (StorageError, ManifestError):
        return f"its manifest is {cid}"
    fields = [name for name in type(manifest).model_fields if getattr(old, name) != getattr(manifest, name)]
    return f"its manifest {cid} has another {', '.join(fields)}"


def _published(account: Account, number: int, wish: Wish, manifest: Manifest, tx: str) -> Published:
    token = str(account.market.models.call("tokenOf", number))
    return Published(number, account.address, wish.name, token, manifest, manifest.cid(), wish.fee, tx)
