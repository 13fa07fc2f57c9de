"""Evidence against a node over its many answers: kept, counted once, and held against it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consumer_stage import NodeDouble, Stage

from agents.chain.journal import Journal
from agents.consumer.dossiers import Dossiers
from agents.consumer.running import Examined
from agents.protocol.manifest import Manifest
from agents.protocol.messages import Finish, Job
from agents.rastic import Action, Claim, Mode, Verdict

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def off_by(margin: float, mode: Mode = Mode.TOLERANT) -> Examined:
    """An answer whose tokens are all so far off."""
    margins = np.full(64, margin)
    claim = Claim(tuple(range(64)), Finish.LENGTH, 64, frozenset(), True)
    verdict = Verdict(Action.ACCEPT, mode, 64, margin, margin, None)
    return Examined(claim, margins, verdict)


@pytest.fixture
def dossiers(tmp_path: Path) -> Dossiers:
    return Dossiers(Journal(tmp_path / "journal.sqlite"))


@pytest.fixture
def job(stage: Stage, node: Nodes, agent: Agent) -> Job:
    double = node(bit_class=bytes(32))
    found = agent("ask", "Hello", "--json").json["job"]
    return double._jobs[found][0]


def test_answers_that_pass_one_by_one_add_up_and_each_counts_once(
    dossiers: Dossiers, job: Job, manifest: Manifest
) -> None:
    place = job.node, job.model_id, job.version
    suspicious = manifest.verification.tolerant.greedy.refuse_mean * 1e-6 * 0.9
    for _ in range(50):
        dossiers.count(bytes(32), job, off_by(suspicious), manifest)
    assert dossiers.get(*place).evidence.answers == 1
    for i in range(1, 50):
        dossiers.count(bytes([i]) * 32, job, off_by(suspicious), manifest)
    assert dossiers.get(*place).accused
    assert not dossiers.get(job.node, job.model_id, 7).accused
    other = replace(job, version=7)
    dossiers.count(bytes([77]) * 32, other, off_by(suspicious, Mode.EXACT), manifest)
    assert dossiers.get(job.node, job.model_id, 7).evidence.answers == 0


def test_a_node_that_was_found_out_is_asked_only_by_name(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch, manifest: Manifest
) -> None:
    cheap = node(bit_class=bytes(32), input_price=10**8, output_price=10**8)
    good = node()
    ran = agent("ask", "Hello", "--json")
    assert ran.json["node"] == cheap.wallet.address
    count = Dossiers.count

    def harsh(self: Dossiers, key: bytes, job: Job, examined: Examined, manifest: Manifest) -> Any:
        for i in range(50):
            count(self, bytes([i]) * 32, job, off_by(0.08), manifest)
        return count(self, key, job, examined, manifest)

    with monkeypatch.context() as patch:
        patch.setattr(Dossiers, "count", harsh)
        ran = agent("ask", "Hello", "--node", cheap.wallet.address)
    assert ran.code == 0
    assert "is not asked any more" in ran.err
    assert agent("ask", "Hello", "--json").json["node"] == good.wallet.address
    ran = agent("ask", "Hello", "--node", cheap.wallet.address)
    assert (ran.code, "answers together are not what this model says" in ran.err) == (0, True)
