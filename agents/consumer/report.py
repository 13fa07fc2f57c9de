"""What came of a question, for people and for programs."""

from collections.abc import Iterator
from typing import Any

from agents.consumer.ask import Answer
from agents.consumer.book import Record
from agents.market.reads import Market
from agents.protocol.messages import Finish
from agents.protocol.pricing import Settlement, settle
from agents.rastic import Action
from agents.terminal.exits import Exit
from agents.terminal.screen import fit_for_terminal


def answer_json(market: Market, answer: Answer) -> dict[str, Any]:
    """One JSON object; amounts in base units, as decimal text."""
    record = answer.record
    return {
        "text": answer.text,
        "accepted": answer.accepted,
        "exit": int(exit_of(answer)),
        **job_json(market, record),
        "note": None if answer.accepted else what_it_means(market, answer),
    }


def job_json(market: Market, record: Record) -> dict[str, Any]:
    """A job as far as it has come."""
    job, completion = record.job, record.completion
    split = None if completion is None else settle(job, completion.output_tokens)
    symbol, decimals = market.unit
    return {
        "job": record.name,
        "model": record.model,
        "modelId": str(job.model_id),
        "version": job.version,
        "node": job.node,
        "madeAt": int(record.made_at),
        "outcome": record.outcome and record.outcome.value,
        "promptTokens": job.prompt_tokens,
        "outputTokens": completion and completion.output_tokens,
        "finish": None if completion is None else Finish(completion.finish).name.lower(),
        "temperature": job.temperature,
        "topP": job.top_p,
        "seed": str(job.seed),
        "bitClass": "0x" + job.bit_class.hex(),
        "verdict": record.verdict and dict(record.verdict),
        "price": {
            "symbol": symbol,
            "decimals": decimals,
            "ceiling": str(job.ceiling),
            "payment": split and str(split.payment),
            "node": split and str(split.node_share),
            "treasury": split and str(split.model_fee),
            "back": split and str(split.refund),
        },
        "facts": dict(record.facts),
        "transactions": transactions(record),
    }


def answer_lines(market: Market, answer: Answer) -> Iterator[str]:
    """The answer and what there is to know about it, line by line."""
    record = answer.record
    text = fit_for_terminal(answer.text).strip("\n")
    if answer.accepted:
        yield text
    else:
        yield "REFUSED. The node sent this, which is not approved:"
        yield text
    yield ""
    yield from _facts(market, record)
    if not answer.accepted:
        yield ""
        yield what_it_means(market, answer)


def _facts(market: Market, record: Record) -> Iterator[str]:
    job, completion, verdict = record.job, record.completion, record.verdict
    assert completion is not None
    assert verdict is not None
    split = settle(job, completion.output_tokens)
    finish = Finish(completion.finish).name.lower()
    yield f"verdict  {verdict['explanation']}"
    yield f"model    {record.model}"
    yield f"node     {job.node}"
    yield f"tokens   {job.prompt_tokens} in the prompt, {completion.output_tokens} in the answer ({finish})"
    yield f"price    {market.money(split.payment)} of at most {market.money(job.ceiling)}"
    yield f"         {_split(market, split)}"
    if int(record.facts.get("delivery_cost", "0")):
        yield f"         and {market.money(int(record.facts['delivery_cost']))} for having it posted on chain"
    if record.outcome is None:
        yield "         not paid out yet"
    yield f"job      {record.name}"
    for action, tx in transactions(record).items():
        yield f"{action:<8} {tx}"


def _split(market: Market, split: Settlement) -> str:
    return (
        f"{market.money(split.node_share)} to the node, {market.money(split.model_fee)} to the model's "
        f"treasury, {market.money(split.refund)} back to you"
    )


def transactions(record: Record) -> dict[str, str]:
    """Hashes of this account's transactions about a job, by what they did."""
    found = {n.removeprefix("tx_"): tx for n, tx in record.facts.items() if n.startswith("tx_")}
    if found.get("end") in [tx for name, tx in found.items() if name != "end"]:
        del found["end"]  # it was one of ours
    return found


def what_it_means(market: Market, answer: Answer) -> str:
    """What becomes of the money of an answer that was refused, plainly."""
    record = answer.record
    job, completion = record.job, record.completion
    assert completion is not None
    if answer.challenged:
        return _challenged(market, answer)
    split = settle(job, completion.output_tokens)
    left = max(0, answer.until - market.connection.time())
    when = (
        f"when its window closes in {left} s, at chain time {answer.until}"
        if left
        else "as its window is closed"
    )
    return (
        "What this means for your money: you did not approve, so the node is paid "
        f"{market.money(split.payment)} not now but {when}; {market.money(split.refund)} come back to you "
        f"then. {_way_out(market, answer)} `agent jobs --settle` fetches your part afterwards; another node "
        "may answer better (`--node`, or simply ask again)."
    )


def _challenged(market: Market, answer: Answer) -> str:
    record = answer.record
    bond, short = market.money(int(record.facts.get("bond", "0"))), record.name[:14]
    if record.outcome is not None:
        return f"It was challenged, with a bond of {bond}, and the court has ruled: {record.outcome.value}."
    return (
        f"What this means for your money: you did not approve, and it was challenged with a bond of {bond} "
        f"(dispute {record.facts['dispute'][:14]}…), which made prompt and answer public. Seats of the "
        "court, drawn by lot, repeat the check now. If they find what you found, the price comes back with a "
        "share of the node's stake; if they find the answer right, the node is paid and the bond is lost. "
        f"`agent challenge {short}` follows it to the ruling; `agent jobs --settle`, or the next question, "
        "fetches what is yours then."
    )


def _way_out(market: Market, answer: Answer) -> str:
    record = answer.record
    challenge = f"`agent challenge {record.name[:14]}`"
    if not market.terms.has_court:
        return (
            "Nothing can stop that as long as this deployment has no court: your refusal costs the "
            "node your custom, not yet its stake."
        )
    if answer.trouble:
        return f"It was not challenged: {answer.trouble}. Once that is mended, {challenge} does it."
    wrong = record.verdict is not None and record.verdict["action"] == Action.SLASH
    if wrong and not record.may_challenge:
        return f"It was not challenged, as you wished (--no-challenge); until then {challenge} does it."
    return (
        "It was not challenged: it is off by more than is accepted, and not clearly by what the court calls "
        f"wrong, so the bond would most likely be lost ({challenge} --force)."
    )


def exit_of(answer: Answer) -> Exit:
    """How `agent ask` ends with this answer."""
    return Exit.OK if answer.accepted else Exit.REFUSED
