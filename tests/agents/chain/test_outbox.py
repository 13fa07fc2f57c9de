import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chain_support import Anvil, Clock, key
from eth_utils.address import to_checksum_address

from agents.chain.contracts import Contract
from agents.chain.devchain import dev_wallet
from agents.chain.errors import ChainUnreachable, RpcFault
from agents.chain.journal import Journal, JournalMismatch
from agents.chain.lock import AlreadyRunning
from agents.chain.outbox import (
    Intent,
    IntentFailed,
    IntentTimeout,
    Outbox,
    OutboxSettings,
    OutOfGasMoney,
    State,
)
from agents.chain.wallet import Wallet

GWEI = 10**9


class Bench:
    """An outbox that can be closed and opened again on the same journal, as a restart would."""

    def __init__(self, anvil: Anvil, probe: Contract, wallet: Wallet, path: Path) -> None:
        self.anvil, self.probe, self.wallet, self.path = anvil, probe, wallet, path
        self.clock = Clock()
        self.settings = OutboxSettings(poll=0.01)
        self.open()

    def open(self, settings: OutboxSettings | None = None) -> Outbox:
        self.settings = settings or self.settings
        self.journal = Journal(self.path)
        self.outbox = Outbox(
            self.journal, self.anvil.connection, self.wallet, self.settings, clock=self.clock
        )
        return self.outbox

    def close(self) -> None:
        self.outbox.close()
        self.journal.close()

    def restart(self, settings: OutboxSettings | None = None) -> Outbox:
        self.close()
        return self.open(settings)

    def mark(self, name: str, function: str = "mark") -> None:
        self.outbox.put(name, function, self.probe.address, self.probe.data(function, key(name)))

    def status(self, name: str, function: str = "mark") -> Intent:
        found = self.outbox.status(name, function)
        assert found is not None
        return found

    def finish(self, name: str, function: str = "mark") -> Intent:
        """Tick and mine until the intent is over."""
        for _ in range(10):
            self.outbox.tick()
            if self.status(name, function).over:
                break
            self.anvil.mine()
        return self.status(name, function)

    def pass_over(self) -> None:
        """Two blocks that do not take what waits."""
        self.anvil.forget_pending()
        self.anvil.mine(2)

    def count(self, name: str) -> int:
        return int(self.probe.call("countOf", key(name)))

    def attempts(self, name: str) -> list[tuple[int, int, bytes]]:
        """(max fee, tip, hash) of all that was signed for an intent, oldest first."""
        rows = self.journal.rows(
            "SELECT a.* FROM outbox_attempt a JOIN outbox_intent i ON i.id = a.intent WHERE i.subject = ?"
            " ORDER BY a.rowid",
            name,
        )
        return [(int(r["max_fee"]), int(r["tip"]), bytes(r["hash"])) for r in rows]


@pytest.fixture
def bench(anvil: Anvil, probe: Contract, wallet: Wallet, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(anvil, probe, wallet, tmp_path / "agent.db")
    yield bench
    bench.close()


def test_an_intent_is_sent_and_done(bench: Bench) -> None:
    bench.anvil.automine(True)
    bench.mark("a")
    done = bench.outbox.wait("a", "mark", 20)
    assert done.state is State.DONE
    assert done.note is None
    assert done.gas_used
    assert done.fee
    assert bench.count("a") == 1
    assert bench.outbox.unfinished() == []


def test_the_same_key_is_the_same_intent(bench: Bench) -> None:
    first = bench.outbox.put("a", "mark", bench.probe.address, bench.probe.data("mark", key("a")))
    again = bench.outbox.put("a", "mark", bench.probe.address, bench.probe.data("mark", key("other")))
    assert first == again
    bench.finish("a")
    assert bench.outbox.put("a", "mark", bench.probe.address, b"") == first
    bench.outbox.tick()
    assert (bench.count("a"), bench.count("other")) == (1, 0)


def test_an_intent_is_part_of_the_callers_transaction(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), bench.journal.transaction():  # noqa: PT012
        bench.mark("a")
        raise ZeroDivisionError
    assert bench.outbox.status("a", "mark") is None


def test_many_at_once_use_one_nonce_each_in_order(bench: Bench) -> None:
    names = [f"n{i}" for i in range(20)]
    for name in names:
        bench.mark(name)
    bench.outbox.tick()
    assert len(bench.anvil.pending()) == bench.settings.most_in_flight
    bench.anvil.mine()
    bench.outbox.tick()
    bench.anvil.mine()
    bench.outbox.tick()
    first = bench.status("n0").nonce
    assert first is not None
    assert [bench.status(n).nonce for n in names] == list(range(first, first + 20))
    assert all(bench.status(n).state is State.DONE for n in names)
    assert bench.probe.call("total") == 20


def test_a_contract_can_be_created(bench: Bench) -> None:
    bench.outbox.put("probe", "create", None, bench.probe.artifact.bytecode)
    done = bench.finish("probe", "create")
    assert done.contract
    assert bench.probe.artifact.matches(bench.anvil.connection.code(done.contract))


def test_what_would_revert_is_not_sent_and_says_why(bench: Bench) -> None:
    bench.mark("a", "after_")
    with pytest.raises(IntentFailed, match=r"^Probe: Refused\(key=0x61.*, limit=0\)$"):
        bench.outbox.wait("a", "after_", 10)
    assert bench.status("a", "after_").nonce is None
    assert bench.attempts("a") == []
    bench.mark("b")
    assert bench.finish("b").state is State.DONE


def test_a_refusal_waits_for_what_is_under_way(bench: Bench) -> None:
    """The second one works only after the first is mined."""
    bench.mark("a")
    bench.mark("a", "after_")
    bench.outbox.tick()
    waiting = bench.status("a", "after_")
    assert waiting.state is State.QUEUED
    assert "waits for what is under way" in str(waiting.note)
    bench.anvil.mine()
    bench.finish("a", "after_")
    assert bench.probe.call("total") == 101


def test_later_intents_do_not_put_a_verdict_off(bench: Bench) -> None:
    bench.mark("a", "after_")
    bench.mark("b")
    bench.outbox.tick()
    assert bench.status("b").state is State.PENDING
    assert bench.status("a", "after_").state is State.FAILED


def test_a_refusal_must_last_when_patience_is_asked(bench: Bench) -> None:
    bench.restart(OutboxSettings(refusal_patience=30, poll=0.01))
    bench.mark("a", "after_")
    bench.outbox.tick()
    bench.clock.now += 29
    bench.outbox.tick()
    assert bench.status("a", "after_").state is State.QUEUED
    bench.clock.now += 2
    bench.outbox.tick()
    assert bench.status("a", "after_").state is State.FAILED


def test_a_revert_in_a_block_is_failed_with_its_reason(bench: Bench) -> None:
    bench.mark("a", "once")
    bench.outbox.tick()
    # Another account is faster.
    rival = dev_wallet(8)
    bench.anvil.connection.send(_call(bench, rival, 10**12, "once", key("a")))
    bench.anvil.mine()
    bench.outbox.tick()
    failed = bench.status("a", "once")
    assert failed.state is State.FAILED
    assert failed.note == "marked already"
    assert failed.gas_used


def test_a_revert_on_older_state_is_decoded_too(bench: Bench) -> None:
    bench.mark("a")
    bench.outbox.tick()
    raw = bench.journal.rows("SELECT raw FROM outbox_attempt")[0]["raw"]
    bench.anvil.forget_pending()
    bench.anvil.connection.send(_call(bench, dev_wallet(8), 10**12, "setLimit", 0))
    bench.anvil.mine()
    bench.anvil.connection.send(raw)
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").note == f"Probe: Refused(key=0x{key('a').hex()}, limit=0)"


def test_running_out_of_gas_is_told_apart(bench: Bench) -> None:
    connection, rival = bench.anvil.connection, dev_wallet(8)
    connection.send(_call(bench, rival, 10**12, "setLimit", 0))
    bench.anvil.mine()
    bench.outbox.put("a", "work", bench.probe.address, bench.probe.data("work"))
    bench.outbox.tick()
    connection.send(_call(bench, rival, 10**12, "setLimit", 1000))
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a", "work").state is State.FAILED
    assert str(bench.status("a", "work").note).startswith("out of gas: it used all of its ")


def test_a_failed_intent_can_be_retried(bench: Bench) -> None:
    bench.mark("a", "once")
    bench.outbox.tick()
    bench.anvil.connection.send(_call(bench, dev_wallet(8), 10**12, "once", key("a")))
    assert bench.finish("a", "once").state is State.FAILED
    bench.outbox.retry("a", "once", bench.probe.data("once", key("b")))
    assert bench.finish("a", "once").state is State.DONE
    assert bench.count("b") == 1
    bench.outbox.retry("a", "once")
    assert bench.status("a", "once").state is State.DONE, "only what failed is retried"


def test_an_unsigned_intent_can_be_dropped(bench: Bench) -> None:
    bench.mark("a")
    assert bench.outbox.drop("a", "mark")
    assert not bench.outbox.drop("a", "mark")
    bench.mark("b")
    bench.outbox.tick()
    assert not bench.outbox.drop("b", "mark")


def test_an_account_without_ether_is_told_how_much_to_send(bench: Bench) -> None:
    bench.anvil.set_balance(bench.wallet.address, 1000)
    bench.mark("a")
    with pytest.raises(
        OutOfGasMoney, match=rf"ETH more: send at least that to {bench.wallet.address} on chain 31337"
    ):
        bench.outbox.wait("a", "mark", 10)
    bench.mark("behind")
    with pytest.raises(OutOfGasMoney, match="mark of a needs"):
        bench.outbox.wait("behind", "mark", 10)
    note = str(bench.status("a").note)
    short = float(note.split(" needs ")[1].split(" ETH")[0])
    bench.anvil.set_balance(bench.wallet.address, 1000 + int(short * 1e18))
    assert bench.finish("a").state is State.DONE


def test_money_that_is_under_way_is_not_spent_twice(bench: Bench) -> None:
    bench.mark("a")
    bench.outbox.tick()
    (sent,) = bench.anvil.pending()
    cost = int(sent["gas"], 16) * int(sent["maxFeePerGas"], 16)
    bench.anvil.set_balance(bench.wallet.address, cost + cost // 2)
    bench.mark("b")
    bench.outbox.tick()
    assert bench.status("b").state is State.QUEUED
    assert "not enough ETH" in str(bench.status("b").note)


def test_a_stuck_transaction_is_replaced_with_an_eighth_more(bench: Bench) -> None:
    bench.mark("a")
    bench.mark("b")
    bench.outbox.tick()
    bench.pass_over()
    bench.clock.now += 31
    bench.outbox.tick()
    assert len(bench.anvil.pending()) == 2
    assert len(bench.attempts("a")) == 1
    bench.clock.now += 31
    bench.outbox.tick()
    (old, old_tip, _), (new, new_tip, new_hash) = bench.attempts("a")
    assert new * 8 >= old * 9
    assert new_tip * 8 >= old_tip * 9
    assert len(bench.attempts("b")) == 1, "only the first in line can be stuck"
    assert {tx["hash"] for tx in bench.anvil.pending()} >= {"0x" + new_hash.hex()}
    assert len(bench.anvil.pending()) == 2
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").tx_hash == new_hash
    assert bench.status("a").state is bench.status("b").state is State.DONE
    assert (bench.count("a"), bench.count("b")) == (1, 1)


def test_a_chain_that_stands_still_is_not_offered_more(bench: Bench) -> None:
    bench.mark("a")
    bench.outbox.tick()
    bench.clock.now += 10_000
    bench.outbox.tick()
    assert len(bench.attempts("a")) == 1


def test_the_first_of_two_that_is_mined_counts(bench: Bench) -> None:
    """The replacement was signed, but the old one gets mined."""
    bench.mark("a")
    bench.outbox.tick()
    raw = bench.journal.rows("SELECT raw FROM outbox_attempt")[0]["raw"]
    bench.pass_over()
    bench.clock.now += 61
    bench.outbox.tick()
    assert len(bench.attempts("a")) == 2
    bench.anvil.forget_pending()
    bench.anvil.connection.send(raw)
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").tx_hash == bench.attempts("a")[0][2]
    assert bench.count("a") == 1


def test_fees_rise_no_further_than_the_limit(bench: Bench) -> None:
    bench.restart(OutboxSettings(max_fee=5 * GWEI, stuck_after=10))
    bench.mark("a")
    for _ in range(30):
        bench.outbox.tick()
        bench.pass_over()
        bench.clock.now += 31
    bench.outbox.tick()
    fees = [fee for fee, _, _ in bench.attempts("a")]
    assert len(fees) > 1
    assert max(fees) <= 5 * GWEI
    assert all(b * 8 >= a * 9 for a, b in itertools.pairwise(fees))
    assert "CAPEK_MAX_FEE_GWEI" in str(bench.status("a").note)
    assert len(bench.anvil.pending()) == 1, "it stays offered at the last fee"
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.DONE
    assert bench.status("a").note is None


def test_nothing_is_sent_while_the_base_fee_is_above_the_limit(bench: Bench) -> None:
    bench.restart(OutboxSettings(max_fee=5 * GWEI))
    bench.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
    bench.anvil.mine()
    bench.mark("a")
    bench.outbox.tick()
    assert bench.status("a").state is State.QUEUED
    assert "above the limit of 5 gwei" in str(bench.status("a").note)


def test_a_fee_that_the_node_finds_too_low_is_raised_at_once(bench: Bench) -> None:
    """Somebody else's use of the key holds the nonce in the mempool at a higher fee."""
    foreign = _call(bench, bench.wallet, 20 * GWEI, "mark", key("foreign"), tip=10 * GWEI)
    bench.anvil.connection.send(foreign)
    bench.mark("a")
    bench.outbox.tick()
    assert "too low" in str(bench.status("a").note)
    for _ in range(40):
        bench.outbox.tick()
        bench.clock.now += 31
    (only,) = bench.anvil.pending()
    assert bytes.fromhex(only["hash"][2:]) == bench.attempts("a")[-1][2]
    bench.anvil.mine()
    bench.outbox.tick()
    assert (bench.count("a"), bench.count("foreign")) == (1, 0)


def test_a_nonce_that_another_program_used_is_found_out(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.mark("a")
    bench.outbox.tick()
    bench.anvil.forget_pending()
    bench.anvil.connection.send(_call(bench, bench.wallet, 20 * GWEI, "mark", key("foreign")))
    bench.anvil.mine(3)
    with caplog.at_level(logging.WARNING):
        bench.outbox.tick()
    assert "was used by 0x" in caplog.text
    assert "another program" in caplog.text
    assert len(bench.attempts("a")) == 2, "signed anew with the next nonce, in the same tick"
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.DONE
    assert (bench.count("a"), bench.count("foreign")) == (1, 1)


def test_receipts_that_lag_are_not_taken_for_a_theft(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The RPC's state knows the nonce as used, its receipts do not yet: the block proves that it was ours."""
    bench.mark("a")
    bench.outbox.tick()
    bench.anvil.mine()
    with monkeypatch.context() as m:
        m.setattr(bench.anvil.connection, "receipt", lambda _: None)
        for _ in range(3):
            bench.clock.now += 1000
            bench.outbox.tick()
        assert bench.status("a").state is State.PENDING
    bench.outbox.tick()
    assert bench.status("a").state is State.DONE
    assert bench.count("a") == 1


def test_without_history_a_theft_is_concluded_only_after_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.mark("a")
    bench.outbox.tick()
    bench.anvil.forget_pending()
    bench.anvil.connection.send(_call(bench, bench.wallet, 20 * GWEI, "mark", key("foreign")))
    bench.anvil.mine(3)

    def no_history(*_: object) -> bytes:
        raise RpcFault("eth_getBlockByNumber", -32000, "missing trie node")

    monkeypatch.setattr(bench.anvil.connection, "sender_hash", no_history)
    bench.outbox.tick()
    bench.clock.now += 599
    bench.outbox.tick()
    assert bench.status("a").state is State.PENDING
    assert "does not show by which" in str(bench.status("a").note)
    bench.clock.now += 2
    bench.outbox.tick()
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.DONE


def test_confirmations_are_waited_for(bench: Bench) -> None:
    bench.restart(OutboxSettings(confirmations=3))
    bench.mark("a")
    bench.outbox.tick()
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.MINED
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.MINED
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("a").state is State.DONE


@pytest.mark.parametrize("restarted", [False, True])
def test_a_transaction_whose_block_is_reorganised_away_is_sent_again(bench: Bench, restarted: bool) -> None:
    bench.restart(OutboxSettings(confirmations=3))
    before = bench.anvil.snapshot()
    bench.mark("a")
    bench.mark("b")
    bench.outbox.tick()
    bench.anvil.mine()
    bench.outbox.tick()
    assert bench.status("b").state is State.MINED
    nonces = (bench.status("a").nonce, bench.status("b").nonce)
    bench.anvil.revert(before)
    bench.anvil.forget_pending()
    bench.anvil.mine(2)
    assert bench.count("a") == 0
    if restarted:
        bench.restart()
    bench.outbox.tick()
    bench.outbox.tick()
    bench.anvil.mine(3)
    bench.outbox.tick()
    assert bench.status("a").state is bench.status("b").state is State.DONE
    assert (bench.status("a").nonce, bench.status("b").nonce) == nonces
    assert (bench.count("a"), bench.count("b")) == (1, 1)


def test_a_reorganisation_deeper_than_the_confirmations_leaves_no_gap(bench: Bench) -> None:
    before = bench.anvil.snapshot()
    bench.mark("a")
    bench.finish("a")
    bench.anvil.revert(before)
    bench.anvil.forget_pending()
    bench.mark("b")
    bench.clock.now += 31
    assert bench.finish("b").state is State.DONE
    assert (bench.count("a"), bench.count("b")) == (1, 1)


def test_a_mempool_that_forgets_is_told_again(bench: Bench) -> None:
    bench.mark("a")
    bench.outbox.tick()
    bench.anvil.forget_pending()
    bench.outbox.tick()
    assert bench.anvil.pending() == []
    bench.clock.now += 31
    bench.outbox.tick()
    assert len(bench.anvil.pending()) == 1
    bench.anvil.forget_pending()
    bench.restart()
    bench.outbox.tick()
    assert len(bench.anvil.pending()) == 1, "a restart sends again what is signed"


def test_an_rpc_that_is_down_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = bench.anvil.connection

    def down(*_: object) -> bytes:
        raise ChainUnreachable("down")

    bench.mark("a")
    with monkeypatch.context() as m:
        m.setattr(connection, "send", down)
        with pytest.raises(ChainUnreachable):
            bench.outbox.tick()
    assert bench.status("a").state is State.PENDING
    with monkeypatch.context() as m:
        m.setattr(connection, "latest", down)
        with pytest.raises(ChainUnreachable):
            bench.outbox.tick()
    assert bench.finish("a").state is State.DONE
    assert bench.count("a") == 1


def test_a_node_that_refuses_one_transaction_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = bench.anvil.connection
    real: Callable[[dict[str, object]], int] = connection.estimate

    def picky(tx: dict[str, object]) -> int:
        if key("bad") in bytes(tx["data"]):  # type: ignore[call-overload]
            raise RpcFault("eth_estimateGas", -32000, "oversized data")
        return real(tx)

    monkeypatch.setattr(connection, "estimate", picky)
    bench.mark("bad")
    bench.mark("good")
    assert bench.finish("good").state is State.DONE
    assert "oversized data" in str(bench.status("bad").note)
    with pytest.raises(IntentTimeout, match="oversized data"):
        bench.outbox.wait("bad", "mark", 0)


def test_a_thread_does_it_too(bench: Bench) -> None:
    bench.anvil.automine(True)
    bench.outbox.start()
    bench.mark("a")
    assert bench.outbox.wait("a", "mark", 20).state is State.DONE
    assert bench.outbox.trouble is None


def test_one_owner_a_key(bench: Bench, tmp_path: Path) -> None:
    with Journal(tmp_path / "other.db") as other, pytest.raises(AlreadyRunning, match=bench.wallet.address):
        Outbox(other, bench.anvil.connection, bench.wallet)


def test_one_account_and_one_chain_a_journal(bench: Bench) -> None:
    with pytest.raises(JournalMismatch, match="another account"):
        Outbox(bench.journal, bench.anvil.connection, dev_wallet(1))
    bench.close()
    with Journal(bench.path) as journal, journal.transaction() as db:
        db.execute("UPDATE journal_meta SET value = '{}' WHERE key = 'chain'")
    bench.journal = Journal(bench.path)
    with pytest.raises(JournalMismatch, match="local chain that was restarted"):
        Outbox(bench.journal, bench.anvil.connection, bench.wallet)
    with pytest.raises(JournalMismatch):  # and the key is free again
        Outbox(bench.journal, bench.anvil.connection, bench.wallet)


def test_addresses_are_checked_before_anything_is_written(bench: Bench) -> None:
    with pytest.raises(ValueError, match="0x1234"):
        bench.outbox.put("a", "b", "0x1234", b"")
    lower = bench.probe.address.lower()
    bench.outbox.put("a", "mark", lower, bench.probe.data("mark", key("a")))
    assert bench.journal.rows("SELECT recipient FROM outbox_intent")[0][0] == to_checksum_address(lower)


def _call(
    bench: Bench, wallet: Wallet, fee: int, function: str, *args: object, tip: int | None = None
) -> bytes:
    """A signed call by somebody who knows nothing of the outbox."""
    return wallet.sign_transaction(
        {
            "type": 2, "chainId": 31337, "nonce": bench.anvil.connection.nonce(wallet.address),
            "to": bench.probe.address, "value": 0, "data": bench.probe.data(function, *args), "gas": 200_000,
            "maxFeePerGas": fee, "maxPriorityFeePerGas": tip or fee,
        }
    ).raw  # fmt: skip
