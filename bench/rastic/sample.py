"""A small part of the measurement for `make bench`: a minute instead of hours."""

from bench.results import Result

PROMPTS = 6


def measure() -> list[Result]:
    """Honest answers are exact, as they are on disk; and what a check costs at two lengths.

    On a machine of another bit class than the data's, a few per cent of positions do have a margin.
    """
    from bench.rastic import cost, prompts, score, store
    from bench.rastic.impostors import WEIGHTS
    from bench.rastic.machine import CANON

    results = cost.measure(rounds=3, lengths=(16, 64), file=None)
    differing = positions = 0
    judge = score.Judge(WEIGHTS, CANON, 0)
    for mode in prompts.MODES:
        answers = store.load_answers(store.answers_file("honest", mode))
        for prompt in prompts.load()[:PROMPTS]:
            text, answer = prompt.tokens(judge.tokenizer), answers[prompt.id]
            logits = judge.read(text, answer.tokens)
            how = prompts.sampling(mode, prompt.id)
            differing += int((judge.margins(logits, answer.tokens, how, len(text)) > 0).sum())
            positions += len(answer.tokens)
    note = f"{differing} of {positions} positions of the data's honest answers have a margin on this machine"
    return [
        *results,
        Result("rastic.sample.differing", differing / positions, "share", "0 in its bit class", note),
    ]
