"""Which jobs a node takes, and why not. What costs least to check is checked first."""

import logging
import threading
from collections.abc import Callable

from agents.chain.wallet import Wallet
from agents.market.reads import Market, Status
from agents.node.errors import Refusal
from agents.node.identity import Identity
from agents.node.jobs import JobBook, JobRecord, JobState, Limits
from agents.node.models import ServedModel
from agents.node.promises import Promises
from agents.node.serving import Models
from agents.node.settings import NodeSettings
from agents.node.terms import check_terms
from agents.protocol.messages import (
    Acceptance,
    Job,
    MessageError,
    SignatureError,
    from_json,
    recover,
    struct_hash,
)
from agents.protocol.sealing import SealError, open_prompt
from agents.protocol.tokens import NotSigned, check_prompt
from agents.protocol.wire import AcceptanceReply, JobRequest, WireError

log = logging.getLogger(__name__)


class Admission:
    """Answers `POST /v1/jobs`. Used by many threads at once.

    An acceptance costs its client nothing, so each is short, and few may be outstanding. `is_open` says
    whether new jobs are taken at all.
    """

    def __init__(
        self,
        book: JobBook,
        sold: Models,
        promises: Promises,
        market: Market,
        identity: Identity,
        wallet: Wallet,
        settings: NodeSettings,
        is_open: Callable[[], bool],
    ) -> None:
        self._book = book
        self._sold = sold
        self._promises = promises
        self._market = market
        self._identity = identity
        self._wallet = wallet
        self._settings = settings
        self._is_open = is_open
        self._limits = Limits(
            settings.pending_per_client, settings.pending, settings.queue, settings.acceptance_seconds
        )
        self._promising = threading.Lock()

    def admit(self, body: bytes) -> AcceptanceReply:
        """Take a job or refuse it.

        Raises:
            Refusal: with the status, code and text for the client.
            ChainError: the chain can't be asked just now.
        """
        job, signature, box = _read(body)
        key = struct_hash(job)
        now = self._market.clock.now()
        if known := self._known(key, now):
            return _reply(known)
        if not self._is_open():
            raise Refusal(503, "draining", "this node takes no new jobs: ask another one")
        model = check_terms(job, self._identity.node, self._market, self._sold, self._settings)
        self._promises.check_deadline(job, model, now)
        self._check_signature(job, signature)
        self._check_chain(job, key)
        self._promises.window(job, key, model, now)
        secret, prompt = self._unseal(job, key, box, model)
        with self._promising:
            # Again, now that nobody else can promise the same time.
            expires = self._promises.window(job, key, model, now)
            acceptance = self._wallet.sign_message(self._market.domain, Acceptance(key, expires))
            record = self._book.accept(job, secret, prompt, expires, acceptance, self._limits, now)
        log.info(
            "accepted",
            extra={
                "job": record.name,
                "client": job.client,
                "ceiling": job.ceiling,
                "opens_in": expires - now,
            },
        )
        return _reply(record)

    def _known(self, key: bytes, now: int) -> JobRecord | None:
        """A job that was accepted before: its acceptance holds, and is given again; but never a second one,
        or who opens nothing could bind the node for ever.
        """
        known = self._book.find(key)
        if known is None:
            return None
        known.check_expiry(now)
        if known.state is JobState.FAILED:
            raise Refusal(
                409,
                "failed",
                f"this node failed this job before ({known.reason}): sign a new one, with another seed",
            )
        return known

    def _check_signature(self, job: Job, signature: bytes) -> None:
        try:
            signer = recover(self._market.domain, job, signature)
        except SignatureError as error:
            raise Refusal(422, "bad_signature", str(error)) from None
        if signer != job.client:
            raise Refusal(
                422,
                "bad_signature",
                f"the signature is not {job.client}'s over this job for chain {self._market.chain_id} and "
                f"Vault {self._market.vault.address}: sign with that account and that domain",
            )

    def _check_chain(self, job: Job, key: bytes) -> None:
        """The client can pay, the node can answer for it, and the job is new."""
        market = self._market
        free = market.balance(job.client)
        if free < job.ceiling:
            raise Refusal(
                402,
                "balance",
                f"{job.client} has {free} base units in the Vault and the job needs {job.ceiling}: deposit "
                f"{job.ceiling - free} more at {market.vault.address} on chain {market.chain_id} (`agent "
                "deposit`)",
            )
        status, _ = market.job_status(key)
        if status is not Status.NONE:
            raise Refusal(409, "on_chain", "this job is on chain already: sign a new one, with another seed")
        # What is accepted and not opened does not count: no job opens that the free stake does not cover.
        if market.provision(job.node, job.model_id).free < market.terms.penalty:
            raise Refusal(
                503, "no_stake", "this node has no free stake for this model just now: ask another one", 60
            )

    def _unseal(self, job: Job, key: bytes, box: bytes, model: ServedModel) -> tuple[bytes, list[int]]:
        try:
            secret, prompt = open_prompt(self._identity.private_key, key, box)
            check_prompt(job, secret, prompt)
        except SealError as error:
            raise Refusal(
                422, "sealed_prompt", f"{error} (this node's key is 0x{self._identity.public_key.hex()})"
            ) from None
        except NotSigned as error:
            raise Refusal(422, "wrong_prompt", str(error)) from None
        size = model.engine.tokenizer.vocab_size
        if any(token >= size for token in prompt):
            raise Refusal(
                422, "unknown_token", f"the prompt has token ids that are not among the model's {size}"
            )
        return secret, prompt


def _read(body: bytes) -> tuple[Job, bytes, bytes]:
    try:
        request = JobRequest.read(body)
        job = from_json(Job, request.job)
    except (WireError, MessageError) as error:
        raise Refusal(400, "malformed", str(error)) from None
    return job, bytes.fromhex(request.signature[2:]), bytes.fromhex(request.prompt[2:])


def _reply(record: JobRecord) -> AcceptanceReply:
    return AcceptanceReply.model_validate(
        {"jobHash": record.name, "expires": str(record.expires), "signature": "0x" + record.acceptance.hex()}
    )
