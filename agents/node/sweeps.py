"""What is done now and then: collecting payments, forgetting, sending model fees on, taking the pulse."""

import hashlib
import logging
from collections.abc import Sequence

from agents.chain.follower import Follower
from agents.chain.outbox import Outbox, State
from agents.market.reads import Market, Status
from agents.node.jobs import JobBook, JobRecord, JobState
from agents.node.metrics import Metrics
from agents.node.serving import Models
from agents.node.settings import NodeSettings
from agents.protocol.messages import as_tuple

log = logging.getLogger(__name__)

_DAY = 86_400
_WEI = 10**18


class Sweeps:
    """Each method is one sweep; any may be called at any time, and calling again repeats nothing."""

    def __init__(
        self,
        book: JobBook,
        market: Market,
        outbox: Outbox,
        follower: Follower,
        models: Models,
        metrics: Metrics,
        settings: NodeSettings,
        node: str,
    ) -> None:
        self._book = book
        self._market = market
        self._outbox = outbox
        self._follower = follower
        self._models = models
        self._metrics = metrics
        self._settings = settings
        self._node = node

    def finalize(self) -> int:
        """Collect what is due, the largest claims first; how many claims were sent for."""
        now = self._market.clock.now()
        # Without an end, or with one that is 0, it is disputed and ruled: see close_disputes.
        ripe = [r for r in self._book.in_state(JobState.COMPLETED) if r.window_end and r.window_end < now]
        ready = [r for r in ripe if not self._sent_for(r)]
        if not ready:
            return 0
        waited = now - min(r.window_end or now for r in ready)
        if len(ready) < self._settings.finalize_batch and waited < self._settings.finalize_patience:
            return 0
        ready.sort(key=lambda r: r.claim, reverse=True)
        batch: list[JobRecord] = []
        for record in ready:
            status, until = self._market.job_status(record.hash)
            if status in (Status.COMPLETED, Status.DELIVERED) and until < now:
                batch.append(record)
            if len(batch) == self._settings.finalize_batch:
                break
        if batch:
            self._send(batch)
        return len(batch)

    def _sent_for(self, record: JobRecord) -> bool:
        """Whether a batch with it is under way, or went through and is not followed yet."""
        intent = self._outbox.status("finalize", record.collecting) if record.collecting else None
        if intent is None or intent.state is State.FAILED:
            return False
        return intent.state is not State.DONE or self._follower.cursor < (intent.block_number or 0)

    def _send(self, batch: Sequence[JobRecord]) -> None:
        # Neighbours with one model share a payment in the contract.
        ordered = sorted(batch, key=lambda r: (r.job.model_id, r.hash))
        round_ = max(r.collections for r in ordered)
        name = hashlib.sha256(b"".join(r.hash for r in ordered)).hexdigest()[:16] + (
            f"/{round_}" if round_ else ""
        )
        data = self._market.escrow.data(
            "finalize",
            [as_tuple(r.job) for r in ordered],
            [as_tuple(r.completion) for r in ordered if r.completion is not None],
        )
        with self._book.collect([r.hash for r in ordered], name):
            self._outbox.put("finalize", name, self._market.escrow.address, data)
        log.info("collecting", extra={"jobs": len(ordered), "claims": sum(r.claim for r in ordered)})

    def close_disputes(self) -> int:
        """Have rulings over our answers carried out, and disputes ended that had none in time; how many. One
        that found the answer wrong is its client's to carry out.
        """
        now, closed = self._market.clock.now(), 0
        for record in self._book.in_state(JobState.COMPLETED):
            if "JobChallenged" not in self._book.facts(record.hash):
                continue
            status, until = self._market.job_status(record.hash)
            ruled = status in (Status.RULED_DISMISSED, Status.RULED_UNDECIDED)
            if ruled or (status is Status.DISPUTED and until < now):
                self._close_dispute(record)
                closed += 1
        return closed

    def _close_dispute(self, record: JobRecord) -> None:
        assert record.completion is not None
        data = self._market.escrow.data("closeDispute", as_tuple(record.job), as_tuple(record.completion))
        self._outbox.put(record.name, "closeDispute", self._market.escrow.address, data)
        self._outbox.retry(record.name, "closeDispute")  # if it was refused: the contract still waits

    def push_fees(self) -> int:
        """Send the model fees that the escrow holds to the models' treasuries; of how many models."""
        pushed = 0
        for model_id in {key[0] for key in self._models}:
            amount = self._market.model_fees(model_id)
            if amount < self._settings.push_fees_minimum:
                continue
            if any(
                i.subject == "fees" and i.action.startswith(f"{model_id}/") for i in self._outbox.unfinished()
            ):
                continue
            data = self._market.escrow.data("pushModelFees", model_id)
            # The amount and block tell one push from the next.
            action = f"{model_id}/{self._market.connection.latest().number}"
            self._outbox.put("fees", action, self._market.escrow.address, data)
            pushed += 1
        return pushed

    def tidy(self) -> None:
        """Forget acceptances nobody opened, and what ended jobs said; look at everything else again."""
        block = self._market.connection.block(max(0, self._follower.cursor))
        if block is not None and self._follower.cursor >= 0:
            # Blocks up to the cursor are all read: what expired before it and was not opened never will be.
            # They are remembered a while, against clients that open nothing.
            self._book.drop_unopened(block.timestamp - self._settings.acceptance_seconds)
        self._book.wipe(self._market.clock.now() - int(self._settings.keep_days * _DAY))
        self._book.check_all()

    def pulse(self) -> None:
        """Bring the figures up to date and warn about what runs out."""
        for state, count in self._book.counts().items():
            self._metrics.jobs.labels(state.value).set(count)
        self._metrics.earned.set(self._book.earned())
        self._metrics.cursor.set(self._follower.cursor)
        unfinished = self._outbox.unfinished()
        self._metrics.outbox.set(len(unfinished))
        for intent in unfinished:
            if intent.note:
                # What waits for its own predecessor is no trouble.
                level = logging.DEBUG if intent.note.startswith("waits for") else logging.WARNING
                log.log(
                    level,
                    "a transaction waits: %s",
                    intent.note,
                    extra={"subject": intent.subject, "action": intent.action},
                )
        wei = self._market.connection.balance(self._outbox.address)
        self._metrics.gas_ether.set(wei / _WEI)
        if wei == 0:
            log.error(
                "no ether for gas: send some to %s on chain %d", self._outbox.address, self._market.chain_id
            )
        for model in self._models.values():
            free = self._market.provision(self._node, model.version.model_id).free
            self._metrics.free_stake.labels(model.label).set(free)
            if free < self._market.terms.penalty:
                log.warning("no free stake for %s: it gets no new jobs; see `agent node stake`", model.label)
