"""The outbox's work: what is due for each intent, given what the chain says now."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agents.chain.connection import Block, Connection, Receipt
from agents.chain.contracts import known_reverts
from agents.chain.errors import ChainUnreachable, Reverted, RpcFault
from agents.chain.fees import Fees, market, replacement
from agents.chain.intents import Attempt, Call, Intent, Intents, State
from agents.chain.wallet import Signer

log = logging.getLogger(__name__)

TRANSACTION_GAS_LIMIT = 1 << 24
"""No transaction may ask for more (EIP-7825)."""

SHORT = "not enough ETH for gas"
"""Begins the note of every intent that waits for money."""

_THERE = ("already known", "known transaction", "already imported", "nonce too low")
_CHEAP = ("underpriced", "less than block base fee", "fee too low")
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How patient and how generous an outbox is. Times in seconds.

    Attributes:
        confirmations: blocks, the transaction's own included, before an intent is done.
        stuck_after: unmined for so long, and for two blocks, its fees are raised.
        resend_after: a mempool is told again what it may have forgotten.
        max_fee: most wei per gas.
        gas_margin: times the estimate.
        most_in_flight: what nodes keep for one account is limited.
        refusal_patience: a contract must refuse for so long (an RPC that lags refuses wrongly).
        lost_after: a nonce that is used, by what the RPC can't show, is given up.
        poll: between ticks.
    """

    confirmations: int = 1
    stuck_after: float = 60.0
    resend_after: float = 30.0
    max_fee: int = 200 * 10**9
    gas_margin: float = 1.3
    most_in_flight: int = 16
    refusal_patience: float = 0.0
    lost_after: float = 600.0
    poll: float = 1.0


class Sender:
    """Settles, pushes and launches. `edge` is called at every point where a crash would matter."""

    def __init__(
        self,
        intents: Intents,
        connection: Connection,
        signer: Signer,
        settings: OutboxSettings,
        clock: Callable[[], float],
        edge: Callable[[str], None],
    ) -> None:
        self._intents = intents
        self._chain = connection
        self._signer = signer
        self._address = signer.address
        self._settings = settings
        self._clock = clock
        self._edge = edge
        # In memory on purpose: after a restart everything signed is sent again.
        self._sent_at: dict[bytes, float] = {}
        self._head: tuple[int, float] | None = None
        self._too_cheap: set[int] = set()
        self._missing_since: dict[int, float] = {}

    def settle(self, head: Block) -> None:
        """What became of the transactions that are out?"""
        out = self._intents.out()
        if not out:
            return
        settled = max(0, head.number - self._settings.confirmations + 1)
        used = self._chain.nonce(self._address, settled)
        for intent in out:
            attempts = self._intents.attempts(intent)
            receipt = next(filter(None, (self._chain.receipt(a.hash) for a in attempts)), None)
            if receipt:
                self._record(intent, attempts, receipt, head)
            elif intent.state is State.MINED:
                log.warning("%s: its block is gone from the chain, sending it again", _name(intent))
                self._intents.update(
                    intent, state=State.PENDING, note="its block was reorganised away", tx_hash=None,
                    block_number=None, block_hash=None, gas_used=None, fee=None, contract=None,
                )  # fmt: skip
                self._forget(intent, attempts)
            elif intent.nonce is not None and intent.nonce < used:
                self._seek_thief(intent, attempts, settled)
            else:
                self._missing_since.pop(intent.id, None)

    def push(self, head: Block, nonce: int) -> None:
        """Send again what is not mined, and offer more for what is stuck. `nonce`: the chain's next."""
        now = self._clock()
        if self._head is None or self._head[0] != nonce:
            self._head = (nonce, now)
        for intent in self._intents.pending():
            if intent.nonce is None or intent.nonce < nonce:
                continue  # used: its receipt, or `_seek_thief`, will tell by what
            latest = self._intents.attempts(intent)[0]
            # Only the first in line can be stuck by its own fee; the others wait for it.
            waited = now - max(latest.made_at, self._head[1]) if intent.nonce == nonce else 0.0
            # A chain that makes no blocks is not waiting for a better offer.
            passed_over = waited >= self._settings.stuck_after and head.number >= latest.made_in + 2
            capped = None
            if intent.id in self._too_cheap or passed_over:
                latest, capped = self._raise_fees(intent, latest, head)
            if now - self._sent_at.get(latest.hash, _NEVER) >= self._settings.resend_after:
                self._intents.update(intent, note=self._broadcast(intent, latest) or capped)
            elif capped:
                self._intents.update(intent, note=capped)
        # A reorganisation deeper than our confirmations: what was done is not, but it is still signed.
        for lost in self._intents.finished_from(nonce):
            if now - self._sent_at.get(lost.hash, _NEVER) >= self._settings.resend_after:
                self._sent_at[lost.hash] = now
                try:
                    self._chain.send(lost.raw)
                    log.warning("nonce %d fell out of the chain and was sent again", lost.nonce)
                except RpcFault as fault:
                    log.debug("nonce %d: %s", lost.nonce, fault)

    def launch(self, head: Block, nonce: int) -> None:
        """Rehearse, sign, store and send what is queued. `nonce`: the chain's next."""
        queued = self._intents.queued()
        if not queued:
            return
        balance = self._chain.balance(self._address)
        fees = market(head, self._chain.tip(), self._settings.max_fee)
        in_flight = len(self._intents.out())
        under_way = [intent.id for intent in self._intents.pending()]
        for intent in queued:
            if in_flight >= self._settings.most_in_flight:
                return
            if fees is None:
                self._intents.update(
                    intent, note=f"the base fee is {_gwei(head.base_fee or 0)}, above the limit of "
                    f"{_gwei(self._settings.max_fee)}: waiting (the limit is CAPEK_MAX_FEE_GWEI)",
                )  # fmt: skip
                return
            call = self._intents.call(intent)
            free = balance - self._intents.reserved()
            cost = call.value
            try:
                if cost <= free:
                    gas = self._rehearse(call, head)
                    cost += gas * fees.most
            except Reverted as refusal:
                # An earlier intent may be what it waits for: until that is over, a refusal is no verdict.
                self._refused(intent, str(refusal), any(i < intent.id for i in under_way))
                under_way.append(intent.id)
                continue
            except RpcFault as fault:
                self._intents.update(intent, note=f"the RPC can't rehearse it: {fault.message}")
                under_way.append(intent.id)
                continue
            if cost > free:
                self._intents.update(intent, note=self._shortage(_name(intent), cost - free))
                return
            self._edge("before-sign")
            attempt = self._sign(intent, call, self._intents.free_nonce(nonce), gas, fees, head)
            self._edge("signed")
            in_flight += 1
            under_way.append(intent.id)
            if note := self._broadcast(intent, attempt):
                self._intents.update(intent, note=note)

    def _record(self, intent: Intent, attempts: list[Attempt], receipt: Receipt, head: Block) -> None:
        deep = head.number - receipt.block_number + 1 >= self._settings.confirmations
        state, note = State.MINED, None
        if deep:
            state = State.DONE
            if not receipt.success:
                state, note = State.FAILED, self._autopsy(intent, attempts, receipt)
        self._edge("before-record")
        self._intents.update(
            intent, state=state, note=note, tx_hash=receipt.tx_hash, block_number=receipt.block_number,
            block_hash=receipt.block_hash, gas_used=receipt.gas_used, fee=str(receipt.fee),
            contract=receipt.contract,
        )  # fmt: skip
        self._edge("recorded")
        if deep:
            self._forget(intent, attempts)
            why = f": {note}" if note else ""
            log.info("%s: %s in block %d%s", _name(intent), state, receipt.block_number, why)

    def _forget(self, intent: Intent, attempts: list[Attempt]) -> None:
        self._too_cheap.discard(intent.id)
        self._missing_since.pop(intent.id, None)
        for attempt in attempts:
            self._sent_at.pop(attempt.hash, None)

    def _autopsy(self, intent: Intent, attempts: list[Attempt], receipt: Receipt) -> str:
        """Why it reverted: receipts do not tell, so the call is repeated."""
        gas = next(a.gas for a in attempts if a.hash == receipt.tx_hash)
        if receipt.gas_used == gas:
            return f"out of gas: it used all of its {gas}"
        call = self._intents.call(intent).sent_by(self._address) | {"gas": gas}
        # What ran before it in its own block is not in the state before, and is in the state after.
        for block in (receipt.block_number - 1, receipt.block_number):
            try:
                self._chain.call(call, block)
            except RpcFault as fault:
                if refusal := known_reverts().of(fault):
                    return str(refusal)
        return f"reverted in block {receipt.block_number}; the reason can't be had any more"

    def _seek_thief(self, intent: Intent, attempts: list[Attempt], settled: int) -> None:
        """The nonce is used and none of ours has a receipt: was it this key, used in another program?"""
        assert intent.nonce is not None
        try:
            thief = self._user_of(intent.nonce, min(a.made_in for a in attempts), settled)
        except RpcFault:
            thief = None  # the RPC keeps no history
        if thief in [a.hash for a in attempts]:
            return  # ours: the RPC's receipts lag behind its state
        since = self._missing_since.setdefault(intent.id, self._clock())
        if thief is None and self._clock() - since < self._settings.lost_after:
            note = f"nonce {intent.nonce} is used, but the RPC does not show by which transaction"
            self._intents.update(intent, note=note)
            return
        by = f"0x{thief.hex()}" if thief else "a transaction that is not ours"
        note = f"nonce {intent.nonce} was used by {by}: is this key used in another program? Signed anew"
        log.warning("%s: %s", _name(intent), note)
        # What was signed can't be mined any more, so signing anew repeats nothing.
        self._intents.requeue(intent, note)
        self._forget(intent, attempts)

    def _user_of(self, nonce: int, low: int, high: int) -> bytes | None:
        """The hash of the transaction that used our `nonce`, mined after block `low` and up to `high`."""
        while low + 1 < high:
            middle = (low + high) // 2
            if self._chain.nonce(self._address, middle) > nonce:
                high = middle
            else:
                low = middle
        return self._chain.sender_hash(self._address, nonce, high)

    def _raise_fees(self, intent: Intent, latest: Attempt, head: Block) -> tuple[Attempt, str | None]:
        """The transaction to send now, and why its fee could not be raised."""
        limit = self._settings.max_fee
        raised = replacement(latest.fees, market(head, self._chain.tip(), limit), limit)
        self._too_cheap.discard(intent.id)
        if raised is None:
            return latest, (
                f"no block takes it at {_gwei(latest.fees.most)}, and the fee limit is {_gwei(limit)}: raise "
                "the limit (CAPEK_MAX_FEE_GWEI) or wait"
            )
        extra = latest.gas * (raised.most - latest.fees.most)
        free = self._chain.balance(self._address) - self._intents.reserved()
        if extra > free:
            return latest, self._shortage(f"a higher fee for {_name(intent)}", extra - free)
        call = self._intents.call(intent)
        log.info("%s: not mined, fee raised to %s", _name(intent), _gwei(raised.most))
        return self._sign(intent, call, latest.nonce, latest.gas, raised, head), None

    def _broadcast(self, intent: Intent, attempt: Attempt) -> str | None:
        """Send; why the RPC does not take it, if so."""
        self._sent_at[attempt.hash] = self._clock()
        self._edge("before-send")
        note = None
        try:
            self._chain.send(attempt.raw)
        except RpcFault as fault:
            text = fault.message.lower()
            if any(word in text for word in _THERE):
                pass  # or mined: the receipt will tell
            elif any(word in text for word in _CHEAP):
                self._too_cheap.add(intent.id)
                note = f"the RPC finds its fee too low: {fault.message}"
            elif "insufficient funds" in text:
                cost = attempt.gas * attempt.fees.most + self._intents.call(intent).value
                note = self._shortage(_name(intent), max(1, cost - self._chain.balance(self._address)))
            else:
                note = f"the RPC does not take it: {fault.message}"
                log.warning("%s: %s", _name(intent), note)
        except ChainUnreachable:
            self._sent_at.pop(attempt.hash, None)
            raise
        self._edge("sent")
        return note

    def _rehearse(self, call: Call, head: Block) -> int:
        """Run it without sending; the gas to allow.

        Raises:
            Reverted: it would revert.
        """
        tx = call.sent_by(self._address)
        try:
            if call.gas_limit is not None:
                self._chain.call(tx | {"gas": call.gas_limit})
                return call.gas_limit
            self._chain.call(tx)
            estimate = self._chain.estimate(tx)
        except RpcFault as fault:
            refusal = known_reverts().of(fault)
            if refusal is None:
                raise
            raise refusal from None
        # State moves between now and the block; what is not used is not paid.
        roomy = int(estimate * self._settings.gas_margin) + 30_000
        return max(estimate, min(roomy, TRANSACTION_GAS_LIMIT, head.gas_limit))

    def _refused(self, intent: Intent, why: str, waits: bool) -> None:
        now = self._clock()
        since = self._intents.refused_since(intent)
        since = now if since is None else since
        if waits:
            self._intents.update(intent, note=f"waits for what is under way; now it would fail: {why}")
        elif now - since < self._settings.refusal_patience:
            self._intents.update(intent, note=why, refused_since=since)
        else:
            self._intents.update(intent, state=State.FAILED, note=why)
            log.info("%s: not sent: %s", _name(intent), why)

    def _sign(self, intent: Intent, call: Call, nonce: int, gas: int, fees: Fees, head: Block) -> Attempt:
        """Sign and store: what is signed is never lost, and its nonce is taken."""
        signed = self._signer.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain.chain_id,
                "nonce": nonce,
                "to": call.recipient or b"",
                "value": call.value,
                "data": call.data,
                "gas": gas,
                "maxFeePerGas": fees.most,
                "maxPriorityFeePerGas": fees.tip,
            }
        )
        attempt = Attempt(signed.hash, nonce, signed.raw, gas, fees, self._clock(), head.number)
        self._intents.add_attempt(intent, attempt)
        return attempt

    def _shortage(self, what: str, wei: int) -> str:
        return (
            f"{SHORT}: {what} needs {_ether(wei)} more: send at least that to {self._address} on chain "
            f"{self._chain.chain_id}; it goes on by itself"
        )


def _name(intent: Intent) -> str:
    return f"{intent.action} of {intent.subject}"


def _gwei(wei: int) -> str:
    return f"{wei / 10**9:.4g} gwei"


def _ether(wei: int) -> str:
    # Rounded up: who sends what the text says must have sent enough.
    return f"{-(-wei // 10**12) / 10**6:.6f} ETH"
