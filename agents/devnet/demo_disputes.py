"""The demo's disputes: wrong work is proved wrong; crying wolf, guessing and lying do not pay."""

import json
from typing import Any

from agents.devnet.demo_report import Report, answer_of
from agents.devnet.hearing import Hearing, hear
from agents.devnet.network import CommandFailed
from agents.devnet.scene import Scene
from agents.devnet.telling import expect, usd
from agents.market.court import Ruling, Vote

LONG_QUESTION = "Tell me a story about a lighthouse keeper, with as many details as you can."
SHORT_QUESTION = "Name three colours of the sea."

_RULED_OTHERWISE = 10
"""What `agent challenge` exits with when the court dismisses it."""


def cheat_is_slashed(scene: Scene, report: Report, model: str) -> Hearing:
    """`agent ask` challenges what is past the slash threshold by itself."""
    tell = scene.tell
    tell.say("mallory sells the same model cheaper, and runs a cheaper quantization of it")
    before = scene.balance(scene.consumer)
    answer = _wrong_answer(scene, report, model, "--wait")
    found = hear(scene, answer["job"])
    expect(found.ruling is Ruling.UPHELD, f"the court ruled {found.ruling.name} on mallory's answer")
    expect(found.node_slashed > 0, "mallory was not slashed")
    expect(found.refunded > 0, "the client was not refunded")
    gained = scene.balance(scene.consumer) - before
    expect(gained > 0, f"a client that was right is {usd(-gained)} poorer")
    tell.detail(
        f"upheld, {found.seconds} s after the challenge: mallory lost {usd(found.node_slashed)} of stake, "
        f"half of it burned; the consumer has its money back, and {usd(gained)} more than before"
    )
    report.disputes.append(found.to_json("cheat"))
    return found


def guessing_earns_nothing(scene: Scene, report: Report, found: Hearing, lazy: str) -> None:
    """A right vote without a good witness is not paid."""
    (vote,), fee = found.votes_of(lazy), max(member.paid for member in found.members)
    expect(vote.vote is Vote.UPHELD, f"{lazy} was to vote like the others")
    expect(found.earned(lazy) == 0, f"{lazy} was paid for a vote without a check")
    scene.tell.detail(
        f"bea and cyd earned {usd(fee)} each. {lazy} voted as they did, but ran no model: at eight places "
        "that the draw names he could not say the model's second choice, and earned nothing"
    )
    of_him = {"lazy": lazy, "earned": str(found.earned(lazy)), "slashed": "0", "refunded": "0"}
    report.disputes.append(found.to_json("lazy") | of_him)


def crying_wolf_costs(scene: Scene, report: Report, model: str) -> None:
    """A frivolous challenge of an honest answer loses its bond."""
    tell = scene.tell
    tell.say("The consumer challenges an honest answer of ada's, to get it for nothing")
    answer = scene.ask(SHORT_QUESTION, model, "ada", "--max-tokens", "24", "--no-approve")
    expect(answer["accepted"], f"ada's honest answer was refused: {answer['verdict']}")
    client, ada = scene.balance(scene.consumer), scene.balance(scene.nodes["ada"][0])
    _challenge(scene, answer["job"], _RULED_OTHERWISE, "--force")
    found = hear(scene, answer["job"])
    expect(found.ruling is Ruling.DISMISSED, f"the court ruled {found.ruling.name} on an honest answer")
    expect(found.node_slashed == 0, "an honest node was slashed")
    earned = scene.balance(scene.nodes["ada"][0]) - ada
    lost = client - scene.balance(scene.consumer)
    expect(earned > 0, "ada was not paid")
    expect(lost > 0, "a frivolous challenge cost nothing")
    tell.detail(
        f"dismissed, after {found.seconds} s: the bond is lost. It paid those who checked, and ada for the "
        f"trouble; with her price ada has {usd(earned)} more, and the consumer {usd(lost)} less"
    )
    report.disputes.append(found.to_json("frivolous"))


def appeal_overturns(scene: Scene, report: Report, bought: str) -> None:
    """Two of a model's three seats lie; the appeal is drawn from everybody's."""
    tell = scene.tell
    tell.say("The second model has three judges' seats, and two are liam's, a friend of mallory's")
    answer = _wrong_answer(scene, report, bought, "--no-challenge")
    _challenge(scene, answer["job"], 0, "--appeal")
    found = hear(scene, answer["job"])
    first = [member.vote for member in found.members if member.round == 0]
    expect(first.count(Vote.DISMISSED) == 2, f"the first panel voted {first}")
    expect(found.appealed, "nobody appealed")
    expect(found.ruling is Ruling.UPHELD, f"the appeal ruled {found.ruling.name}")
    expect(found.seats_slashed > 0, "those who lied lost nothing")
    expect(found.node_slashed > 0, "mallory was not slashed")
    tell.detail(
        f"the first panel's majority let mallory off; the appeal overturned it. liam's two seats forfeit "
        f"{usd(found.seats_slashed)}, the consumer, who paid for the appeal, got {usd(found.to_funder)}; "
        f"mallory lost {usd(found.node_slashed)}, and the answer's price came back"
    )
    report.disputes.append(found.to_json("appeal"))


def _wrong_answer(scene: Scene, report: Report, model: str, *args: str) -> dict[str, Any]:
    answer = scene.ask(LONG_QUESTION, model, "mallory", "--max-tokens", "96", *args)
    expect(not answer["accepted"], "mallory's answer passed the check")
    text = " ".join(str(answer["text"]).split())
    scene.tell.detail(f"“{text[:120]}…”")
    scene.tell.detail(f"verdict: {answer['verdict']['explanation']}")
    report.refused.append({**answer_of(answer), "job": answer["job"], "approved": False})
    expect("JobPaid" not in scene.events_of(answer["job"]), "a refused answer was approved")
    return answer


def _challenge(scene: Scene, job: str, expected: int, *args: str) -> dict[str, Any]:
    code, out, said = scene.network.try_run(scene.consumer, "challenge", job, *args, "--json")
    if code != expected:
        raise CommandFailed("challenge", code, said or out)
    found: dict[str, Any] = json.loads(out)
    return found
