"""The committed gas figures are what the committed contracts cost, to the unit."""

import json

from gas.measure import SNAPSHOT, differences, measure, read

LIFE = 160_000
"""What an escrowed job may cost altogether, finalized in a batch of 50."""

DISPUTE = 700_000
"""What a dispute of three seats over 128 + 128 tokens may cost, every participant counted."""


def test_snapshot_is_what_receipts_say() -> None:
    changed = differences(measure(), read())
    assert not changed, "gas changed; if that is meant, run `make gas` and commit:\n" + "\n".join(changed)


def test_snapshot_is_sorted_integers() -> None:
    found = read()
    assert all(type(gas) is int for gas in found.values())
    assert all(gas > 21_000 for name, gas in found.items() if "batch" not in name)
    assert SNAPSHOT.read_text() == json.dumps(found, indent=1, sort_keys=True) + "\n"


def test_a_jobs_whole_life_is_cheap_enough() -> None:
    found = read()
    parts = ("job.open", "job.complete", "job.finalize.batch50")
    assert found["job.life.batch50"] == sum(found[part] for part in parts) <= LIFE


def test_a_whole_dispute_is_cheap_enough() -> None:
    found = read()
    verbs = ("challenge", "commit.draws", "close", "obey")
    for tokens in (128, 512):
        parts = sum(found[f"dispute.{verb}.{tokens}"] for verb in verbs)
        parts += 2 * found[f"dispute.commit.{tokens}"] + 3 * found[f"dispute.reveal.{tokens}"]
        # A commitment or a salt with a zero byte more costs 12 less.
        assert abs(found[f"dispute.whole.{tokens}"] - parts) < 500
    assert found["dispute.whole.128"] <= DISPUTE


def test_differences_name_what_changed() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 2}) == []
    assert differences({"a": 3, "new": 1}, {"a": 1, "old": 2}) == [
        "a: 1 in the snapshot, 3 measured (+2)",
        "new: None in the snapshot, 1 measured",
        "old: 2 in the snapshot, None measured",
    ]
