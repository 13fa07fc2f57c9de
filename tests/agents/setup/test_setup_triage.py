from typing import Any

from scripts.setup.triage import merge, unexplained


def finding(identity: str, description: str) -> dict[str, Any]:
    return {
        "id": identity,
        "check": "reentrancy",
        "impact": "Low",
        "description": description,
        "elements": ["/home/me"],
    }


def test_a_reason_follows_its_finding_to_another_line() -> None:
    old = [{**finding("1", "A.f() (A.sol#3-5) calls"), "why": "harmless"}]
    entries = merge(old, [finding("2", "A.f() (A.sol#30-55) calls"), finding("3", "A.g() (A.sol#9) calls")])
    assert [(entry["id"], entry["why"]) for entry in entries] == [("2", "harmless"), ("3", "")]
    assert unexplained(entries) == ["reentrancy: A.g() (A.sol#9) calls"]


def test_what_is_gone_is_dropped_and_no_path_of_the_machine_is_kept() -> None:
    old = [{**finding("1", "A.f() (A.sol#3-5) calls"), "why": "harmless"}]
    entries = merge(old, [finding("3", "A.g() (A.sol#9) calls")])
    assert [entry["id"] for entry in entries] == ["3"]
    assert "/home/me" not in str(entries)
