"""Where there is no court: said plainly, and nothing breaks."""

from collections.abc import Callable
from typing import Any

from consumer_stage import NodeDouble, Stage

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def test_without_a_court_nothing_can_be_disputed(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    job = agent("ask", "Hello", "--no-approve", "--json").json["job"]
    ran = agent("challenge", job, "--force")
    assert ran.code == 12
    assert "no court" in ran.err
    ran = agent("appeal", "0x12")
    assert (ran.code, "no court" in ran.err) == (12, True)
    assert agent("disputes", "--json").json == {"court": None, "disputes": []}
    assert "no court" in agent("disputes").err
    assert agent("disputes", "0x12").code == 2
