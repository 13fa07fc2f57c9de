"""What demo-report.json says of a dispute."""

import json
from pathlib import Path

from agents.devnet.demo_report import Report
from agents.devnet.hearing import Hearing, Member
from agents.market.court import Case, Opened, Ruling, Vote

NODE = "0x000000000000000000000000000000000000dEaD"
MEMBERS = (
    Member(0, "liam", Vote.DISMISSED, 0), Member(0, "liam", Vote.DISMISSED, 0),
    Member(0, "bea", Vote.UPHELD, 7), Member(1, "bea", Vote.UPHELD, 7),
    Member(1, "oscar", Vote.NONE, 0),
)  # fmt: skip


def hearing() -> Hearing:
    case = Case(b"\2" * 32, NODE, NODE, 1, 0, 2, 3, 3, 1, 7, 0, 1, bytes(32), bytes(32))
    opened = Opened(b"\1" * 32, NODE, case, True, False, True, 9, (1, 2), (3, 4, 5), 1)
    return Hearing(
        opened, MEMBERS, Ruling.UPHELD, appealed=True, to_funder=5, seats_slashed=20, node_slashed=10,
        refunded=3, seconds=31,
    )  # fmt: skip


def test_a_dispute_in_the_report() -> None:
    found = hearing().to_json("appeal")
    assert found | {"votes": []} == {
        "kind": "appeal", "dispute": "0x" + "01" * 32, "job": "0x" + "02" * 32, "rule": "exact", "round": 1,
        "votes": [], "ruling": "upheld", "slashed": "30", "refunded": "3", "seconds": 31,
    }  # fmt: skip
    assert found["votes"][2] == {"round": 0, "node": "bea", "vote": "upheld", "paid": "7"}
    assert [vote["vote"] for vote in found["votes"]] == ["dismissed"] * 2 + ["upheld"] * 2 + ["none"]


def test_what_a_judge_earned() -> None:
    assert hearing().earned("bea") == 14
    assert hearing().earned("oscar") == 0
    assert [member.round for member in hearing().votes_of("liam")] == [0, 0]


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    report = Report(disputes=[hearing().to_json("appeal")], seconds=1.5)
    report.write(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["disputes"][0]["kind"] == "appeal"
    assert set(found) == {"answers", "refused", "slashed", "disputes", "crash", "ledger", "seconds"}
