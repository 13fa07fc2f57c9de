"""Which disputes are asked about and when, and what is read of evidence that strangers made up."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from court_stage import RIGHT, case_of
from eth_abi.abi import encode
from market_stage import TRAINER

from agents.chain.contracts import Event
from agents.chain.devchain import dev_wallet
from agents.chain.journal import Journal
from agents.market.court import Panel, Phase, Standing, decode_opened
from agents.node.court import docket as docket_module
from agents.node.court import duties as duties_module
from agents.node.court.docket import Docket
from agents.node.court.duties import Duties
from agents.protocol.messages import abi_type
from agents.protocol.tokens import OUTPUT, PROMPT, mask

NODE, OTHER = dev_wallet(TRAINER).address, dev_wallet(9).address
COURT = dev_wallet(8).address
ODD = RIGHT[:5]
"""Whose bytes need padding."""


def evidence() -> bytes:
    case = case_of(5, NODE, ODD, ODD)
    masked = mask(case.secret, PROMPT, ODD), mask(case.secret, OUTPUT, ODD)
    return encode([abi_type(type(case)), "bytes", "bytes"], [case.as_tuple(), *masked])


def event(number: int, name: str = "DisputeOpened", **changes: Any) -> Event:
    args = {
        "id": bytes([number]) * 32, "opener": OTHER, "exact": False, "network": False, "appealable": True,
        "ticket": 1, "evidence": evidence(),
    }  # fmt: skip
    return Event("DisputeCourt", COURT, name, args | changes, number, b"", b"", 0)


def test_bytes_behind_the_tokens_mean_nothing() -> None:
    good = evidence()
    assert good[-12:] == bytes(12)
    found = decode_opened(event(1, evidence=good[:-1] + b"\1"))
    assert (found.prompt, found.output) == (ODD, ODD)
    first = 17 * 32 + 4 * len(ODD)  # behind the prompt
    found = decode_opened(event(1, evidence=good[:first] + b"\xff" * 12 + good[first + 12 :]))
    assert (found.prompt, found.output) == (ODD, ODD)


class _Court:
    """Who sits where is set by the test; it counts what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
        self.terms = SimpleNamespace(draw_window=60)
        self.docket = Docket(journal, COURT)
        self.journal = journal
        self.now = 1000
        self.asked: list[int] = []
        self.decoded: list[int] = []
        self.voted: list[tuple[int, str]] = []
        self.mine: dict[int, int] = {}
        """The disputes whose panel this node sits in, and when their phase ends."""
        real = docket_module.decode_opened

        def decode(found: Event) -> Any:
            self.decoded.append(found.block_number)
            return real(found)

        monkeypatch.setattr(docket_module, "decode_opened", decode)
        voting = SimpleNamespace(vote=self._vote)
        closing = SimpleNamespace(settle=lambda: 0)
        self.duties = Duties(
            self.docket, self, NODE, lambda _: False, lambda: self.now, voting, None, closing,  # type: ignore[arg-type]
        )  # fmt: skip

    def log(self, *events: Event) -> None:
        with self.journal.transaction() as db:
            for found in events:
                self.docket.apply(db, found)

    def standing(self, key: bytes) -> Standing:
        self.asked.append(key[0])
        return Standing(Phase.COMMITTING, 0, self.mine.get(key[0], self.now + 500))

    def panel(self, key: bytes, round_: int) -> Panel:
        return Panel(7, (1, 2, 3), (NODE if key[0] in self.mine else OTHER, OTHER, OTHER))

    def look(self) -> list[int]:
        self.asked.clear()
        self.duties.look()
        return list(self.asked)

    def _vote(self, view: Any) -> int:
        self.voted.append((view.id[0], view.opened.unreadable))
        return 0


@pytest.fixture
def court(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Court]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield _Court(monkeypatch, journal)


def test_only_what_changed_is_asked_about_and_only_ours_is_read(court: _Court) -> None:
    court.log(*(event(n) for n in range(1, 7)))
    court.mine = {3: 1300, 5: 1200}
    assert sorted(court.look()) == [1, 2, 3, 4, 5, 6]
    assert sorted(court.decoded) == [3, 5]
    assert court.look() == [5, 3]  # ours, the nearest deadline first
    court.log(event(2, "VoteCommitted", ballot=0))
    assert court.look() == [5, 3, 2]
    with court.journal.transaction() as db:
        court.docket.undo(db, 100)  # whatever it took away
    assert sorted(court.look()) == [1, 2, 3, 4, 5, 6]
    assert sorted(set(court.decoded)) == [3, 5]


def test_no_number_of_others_holds_up_ours_or_hides_a_new_one(
    court: _Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    court.log(event(1))
    court.mine = {1: 1300}
    court.look()
    monkeypatch.setattr(duties_module, "_SLICE", -1.0)  # as if others took all the time there is
    court.log(*(event(n) for n in range(2, 9)))
    assert court.look() == [1]
    assert court.duties.look() is False
    moments = iter(range(10**6))
    monkeypatch.setattr(duties_module, "_SLICE", 2.5)
    monkeypatch.setattr(duties_module.time, "monotonic", lambda: float(next(moments)))
    seen: set[int] = set()
    for _ in range(9):
        court.log(*(event(n, "VoteCommitted", ballot=0) for n in range(2, 9)))
        found = court.look()
        assert found[0] == 1
        seen |= set(found)
    assert seen == set(range(1, 9))


def test_evidence_that_cannot_be_read_still_is_a_duty(court: _Court) -> None:
    court.log(event(1, evidence=b"\xff" * 700), event(2, evidence=b""))
    court.mine = {1: 1200, 2: 1300}
    court.look()
    assert sorted(number for number, _ in court.voted) == [1, 2]
    assert all("can't be read" in why for _, why in court.voted)
    assert court.docket.parties(b"\2" * 32) == (OTHER, "")
    assert court.docket.opened(b"\1" * 32).prompt == ()


def test_the_parties_are_known_without_decoding(court: _Court) -> None:
    court.log(event(1))
    assert court.docket.parties(b"\1" * 32) == (OTHER, NODE)
    assert court.decoded == []
    with pytest.raises(KeyError):
        court.docket.parties(b"\7" * 32)
