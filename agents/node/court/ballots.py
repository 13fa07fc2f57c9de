"""What this node found and how it votes, in the journal: a salt is on the disk before its commitment is sent.

None of it comes from the chain, so a reorganisation takes nothing away: a ballot names the draw (`lot`) it
was made for, and if another panel is drawn in the end, another ballot is made.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from sqlite3 import Row

from agents.chain.journal import Journal
from agents.market.court import Vote
from agents.node.court.examiner import Finding

_SCHEMA = [
    """
CREATE TABLE court_finding(
  id BLOB NOT NULL,
  lot TEXT NOT NULL,
  vote INTEGER NOT NULL,
  witness BLOB NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY(id, lot)
) STRICT;
CREATE TABLE court_ballot(
  id BLOB NOT NULL,
  round INTEGER NOT NULL,
  place INTEGER NOT NULL,
  lot TEXT NOT NULL,
  vote INTEGER NOT NULL,
  witness BLOB NOT NULL,
  salt BLOB NOT NULL,
  PRIMARY KEY(id, round, place, lot)
) STRICT;
"""
]

_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote of member `place` of round `round`'s panel, and what opens its commitment."""

    id: bytes
    round: int
    place: int
    lot: int
    vote: Vote
    witness: bytes
    salt: bytes = field(repr=False)


class Ballots:
    """Findings and ballots. Threads may share it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        journal.migrate("court_ballots", _SCHEMA)

    def finding(self, key: bytes, lot: int) -> Finding | None:
        """What came of the check that this draw asked for."""
        row = self._journal.row("SELECT * FROM court_finding WHERE id = ? AND lot = ?", key, str(lot))
        return None if row is None else Finding(Vote(row["vote"]), bytes(row["witness"]), row["reason"])

    def found(self, key: bytes, lot: int, finding: Finding) -> None:
        """Keep it; the first one stays."""
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO court_finding VALUES(?, ?, ?, ?, ?)",
                (key, str(lot), int(finding.vote), finding.witness, finding.reason),
            )

    def cast(
        self,
        key: bytes,
        round_: int,
        place: int,
        lot: int,
        finding: Finding,
        send: Callable[[Ballot], object],
    ) -> Ballot:
        """The ballot of a place, made with a fresh salt the first time. `send` writes the commitment's intent
        down within the same transaction of the journal: nothing is sent that is not on the disk.
        """
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO court_ballot VALUES(?, ?, ?, ?, ?, ?, ?)",
                (
                    key, round_, place, str(lot), int(finding.vote), finding.witness,
                    secrets.token_bytes(_SALT_BYTES),
                ),
            )  # fmt: skip
            row = db.execute(
                "SELECT * FROM court_ballot WHERE id = ? AND round = ? AND place = ? AND lot = ?",
                (key, round_, place, str(lot)),
            ).fetchone()
            ballot = _ballot(row)
            send(ballot)
        return ballot

    def of(self, key: bytes, round_: int, place: int) -> list[Ballot]:
        """All ballots ever made for a place, the last one first: one for each panel that was drawn."""
        rows = self._journal.rows(
            "SELECT * FROM court_ballot WHERE id = ? AND round = ? AND place = ? ORDER BY rowid DESC",
            key,
            round_,
            place,
        )
        return [_ballot(row) for row in rows]

    def votes(self) -> dict[Vote, int]:
        """How often each vote was cast."""
        rows = self._journal.rows("SELECT vote, count(*) FROM court_ballot GROUP BY vote")
        found = {int(row[0]): int(row[1]) for row in rows}
        return {vote: found.get(int(vote), 0) for vote in (Vote.UPHELD, Vote.DISMISSED, Vote.UNABLE)}


def _ballot(row: Row) -> Ballot:
    return Ballot(
        bytes(row["id"]), row["round"], row["place"], int(row["lot"]), Vote(row["vote"]),
        bytes(row["witness"]), bytes(row["salt"]),
    )  # fmt: skip
