"""What this account has learned of each node, answer by answer, in the account's journal.

A near impostor passes most checks by the tolerant rule, and not all of many (agents/rastic/dossier.py). By
the exact rule one answer is enough, and nothing is kept.
"""

from agents.chain.journal import Journal
from agents.consumer.running import Examined
from agents.protocol.manifest import Manifest
from agents.protocol.messages import Job
from agents.rastic import Mode
from agents.rastic.dossier import BadDossier, Dossier

_SCHEMA = [
    """
CREATE TABLE consumer_dossier(
  node TEXT NOT NULL,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  dossier TEXT NOT NULL,
  PRIMARY KEY(node, model, version)
) STRICT;
CREATE TABLE consumer_counted(job BLOB PRIMARY KEY) STRICT;
"""
]


class Dossiers:
    """One for each node and model version. Threads may share it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        journal.migrate("consumer_dossiers", _SCHEMA)

    def get(self, node: str, model_id: int, version: int) -> Dossier:
        """An empty one for a node that nothing is known of, or whose dossier is damaged."""
        row = self._journal.row(
            "SELECT dossier FROM consumer_dossier WHERE node = ? AND model = ? AND version = ?",
            node,
            str(model_id),
            version,
        )
        try:
            return Dossier() if row is None else Dossier.load(row["dossier"])
        except BadDossier:
            return Dossier()

    def count(self, key: bytes, job: Job, examined: Examined, manifest: Manifest) -> Dossier:
        """Add a job's answer, whatever its verdict, once however often it is checked; the dossier after it.

        `key` is the job's hash.
        """
        place = job.node, job.model_id, job.version
        greedy = job.temperature == 0
        tolerant = manifest.verification.tolerant
        with self._journal.transaction() as db:
            old = self.get(*place)
            if examined.verdict.mode is not Mode.TOLERANT:
                return old
            if not db.execute("INSERT OR IGNORE INTO consumer_counted VALUES(?)", (key,)).rowcount:
                return old
            tier = tolerant.greedy if greedy else tolerant.sampled
            new = old.after(examined.margins, tier, greedy=greedy)
            db.execute(
                "INSERT OR REPLACE INTO consumer_dossier VALUES(?, ?, ?, ?)",
                (job.node, str(job.model_id), job.version, new.dump()),
            )
        return new
