"""Consumers' preferences: signed judgements between two paid answers (docs/tuning-functions.md).

A record holds all that somebody needs to check one without the chain, except who may sign for a node and
whether the answers were paid. Records are published in batches, in their order, as canonical JSON.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_hash.auto import keccak

from . import merkle
from .manifest import ManifestError, canonical_json, parse_canonical_json
from .messages import (
    Address,
    Bytes32,
    Completion,
    Domain,
    Job,
    Message,
    MessageError,
    SignatureError,
    Uint8,
    Uint64,
    from_json,
    recover,
    sign,
    struct_hash,
    to_json,
)
from .tokens import NotSigned, TokenError, check_output, check_prompt, pack, unpack

FORMAT: Final = "capek-preferences/1"
MAX_RECORDS: Final = 4096
MAX_BATCH_BYTES: Final = 64 << 20
FIRST, SECOND = 0, 1

Signers = Callable[[str], frozenset[str]]
"""Who may sign for a node: its owner address -> the addresses of its operator keys, checksummed."""


class BadPreference(ValueError):
    """A preference that counts for nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Preference(Message):
    """Which of two answers to one prompt is better, signed by the client that paid for both.

    `first` and `second` are struct hashes of Completions; `better` is FIRST or SECOND; `given_at` in seconds.
    """

    client: Address
    model_id: Uint64
    first: Bytes32
    second: Bytes32
    better: Uint8
    given_at: Uint64


@dataclass(frozen=True, slots=True)
class Answer:
    """A paid answer as its client has it: Job, Completion with its node's signature, secret, tokens."""

    job: Job
    completion: Completion
    signature: bytes
    secret: bytes
    output: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A preference with its client's signature, both answers, and the prompt's token ids that they share."""

    preference: Preference
    signature: bytes
    prompt: tuple[int, ...]
    first: Answer
    second: Answer

    @property
    def better(self) -> Answer:
        """The answer that was preferred."""
        return self.second if self.preference.better == SECOND else self.first

    @property
    def worse(self) -> Answer:
        """The other."""
        return self.first if self.preference.better == SECOND else self.second

    def digest(self) -> bytes:
        """What a batch's root is over: keccak of the record's canonical JSON (32 bytes)."""
        return keccak(canonical_json(_record_to_json(self)))


def prefer(
    domain: Domain,
    private_key: bytes,
    prompt: Sequence[int],
    first: Answer,
    second: Answer,
    better: int,
    given_at: int,
) -> Record:
    """Sign which answer is better.

    Raises:
        BadPreference: the answers are not two to one prompt by this client.
        SignatureError: the private key is none.
    """
    preference = Preference(
        first.job.client,
        first.job.model_id,
        struct_hash(first.completion),
        struct_hash(second.completion),
        better,
        given_at,
    )
    record = Record(preference, sign(domain, preference, private_key), tuple(prompt), first, second)
    check(record, domain)
    return record


def check(record: Record, domain: Domain, signers: Signers | None = None) -> None:
    """Check all that a record itself can prove; with `signers`, also that the nodes gave these answers.

    That both answers were paid is on chain (`JobPaid`), and left to the caller.

    Raises:
        BadPreference: it proves less.
    """
    said = record.preference
    if said.better not in (FIRST, SECOND):
        raise BadPreference(f"better is {said.better}, neither 0 (the first) nor 1 (the second)")
    if said.first == said.second:
        raise BadPreference("both answers are the same completion")
    try:
        signer = recover(domain, said, record.signature)
    except SignatureError as error:
        raise BadPreference(f"the preference's signature is none: {error}") from None
    if signer != said.client:
        raise BadPreference(f"the preference is signed by {signer}, not by its client {said.client}")
    for name, answer, hashed in (("first", record.first, said.first), ("second", record.second, said.second)):
        _check_answer(name, answer, hashed, record, domain, signers)
    if record.first.output == record.second.output:
        raise BadPreference("both answers say the same: there is nothing to prefer")


def root(records: Sequence[Record]) -> bytes:
    """The Merkle root of a batch: keccak, each leaf bound to its place (`merkle.leaf`)."""
    return merkle.root(merkle.leaves([record.digest() for record in records]))


def to_bytes(records: Sequence[Record]) -> bytes:
    """A batch as canonical JSON: `{"format", "records"}`.

    Raises:
        BadPreference: more than `MAX_RECORDS`.
    """
    if len(records) > MAX_RECORDS:
        raise BadPreference(f"a batch has at most {MAX_RECORDS} records, this has {len(records)}: make two")
    return canonical_json({"format": FORMAT, "records": [_record_to_json(record) for record in records]})


def load(data: bytes, expected: bytes | None = None) -> list[Record]:
    """Read a batch, from a stranger; with `expected`, only the one with this root. Records are not `check`ed.

    Raises:
        BadPreference: it is none, or another.
    """
    if len(data) > MAX_BATCH_BYTES:
        raise BadPreference(f"a batch has at most {MAX_BATCH_BYTES} bytes, this has {len(data)}")
    try:
        found = parse_canonical_json(data)
        if not isinstance(found, dict) or set(found) != {"format", "records"} or found["format"] != FORMAT:
            raise BadPreference(f"these bytes are no batch of the format {FORMAT}")
        if not isinstance(found["records"], list) or len(found["records"]) > MAX_RECORDS:
            raise BadPreference(f"a batch has a list of at most {MAX_RECORDS} records")
        records = [_record_from_json(value) for value in found["records"]]
    except (ManifestError, MessageError, TokenError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadPreference):
            raise
        raise BadPreference(f"the batch is damaged: {str(error)[:200]}") from None
    if expected is not None and root(records) != expected:
        raise BadPreference(f"the batch's root is 0x{root(records).hex()}, not 0x{expected.hex()}")
    return records


def _check_answer(
    name: str, answer: Answer, hashed: bytes, record: Record, domain: Domain, signers: Signers | None
) -> None:
    job, completion, said = answer.job, answer.completion, record.preference
    if struct_hash(completion) != hashed:
        raise BadPreference(f"the {name} answer's completion is not the one that was judged")
    if completion.job_hash != struct_hash(job) or completion.node != job.node:
        raise BadPreference(f"the {name} answer's completion belongs to another job")
    if job.client != said.client:
        raise BadPreference(f"the {name} answer was paid by {job.client}, not by the client who judges")
    if job.model_id != said.model_id:
        raise BadPreference(f"the {name} answer is by model {job.model_id}, not by {said.model_id}")
    try:
        check_prompt(job, answer.secret, record.prompt)
        check_output(completion, answer.secret, answer.output)
        signer = recover(domain, completion, answer.signature)
    except (NotSigned, TokenError, SignatureError) as error:
        raise BadPreference(f"the {name} answer is not what was signed: {error}") from None
    if signers is not None and signer not in signers(completion.node):
        raise BadPreference(f"the {name} answer is signed by {signer}, which is not its node's key")


def _record_to_json(record: Record) -> dict[str, Any]:
    return {
        "preference": to_json(record.preference),
        "signature": _hex(record.signature),
        "prompt": _hex(pack(record.prompt)),
        "first": _answer_to_json(record.first),
        "second": _answer_to_json(record.second),
    }


def _answer_to_json(answer: Answer) -> dict[str, Any]:
    return {
        "job": to_json(answer.job),
        "completion": to_json(answer.completion),
        "signature": _hex(answer.signature),
        "secret": _hex(answer.secret),
        "output": _hex(pack(answer.output)),
    }


def _record_from_json(value: Any) -> Record:
    _keys(value, {"preference", "signature", "prompt", "first", "second"})
    return Record(
        from_json(Preference, value["preference"]),
        _bytes(value["signature"]),
        tuple(unpack(_bytes(value["prompt"]))),
        _answer_from_json(value["first"]),
        _answer_from_json(value["second"]),
    )


def _answer_from_json(value: Any) -> Answer:
    _keys(value, {"job", "completion", "signature", "secret", "output"})
    return Answer(
        from_json(Job, value["job"]),
        from_json(Completion, value["completion"]),
        _bytes(value["signature"]),
        _bytes(value["secret"]),
        tuple(unpack(_bytes(value["output"]))),
    )


def _keys(value: Any, wanted: set[str]) -> None:
    if not isinstance(value, dict) or set(value) != wanted:
        raise BadPreference(f"a record must be an object with exactly {', '.join(sorted(wanted))}")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x") or value != value.lower():
        raise BadPreference("bytes are lower-case 0x hex")
    return bytes.fromhex(value[2:])
