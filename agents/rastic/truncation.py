"""The truncation condition as far as it needs no model: where end tokens stand, and how many tokens."""

from agents.protocol.messages import Finish
from agents.rastic.claim import Claim
from agents.rastic.verdict import Condition, Failure


def truncation(claim: Claim) -> Failure | None:
    """What is wrong with how the output ends, if anything.

    An end token may stand only at the last place, whatever the finish: a node that goes on after it sells
    tokens that nobody asked for.
    """
    tokens, count = claim.tokens, len(claim.tokens)
    early = next((i for i, token in enumerate(tokens[:-1]) if token in claim.end_tokens), None)
    if early is not None:
        return _failure(f"{count - early - 1} tokens follow an end token", early)
    if count > claim.max_tokens:
        return _failure(f"{count} tokens exceed the limit of {claim.max_tokens}", claim.max_tokens)
    match claim.finish:
        case Finish.END if not tokens or tokens[-1] not in claim.end_tokens:
            return _failure("it claims to have ended but the last token is no end token", max(count - 1, 0))
        case Finish.LENGTH if count != claim.max_tokens:
            return _failure(f"it claims to have reached {claim.max_tokens} tokens but has {count}", count)
    return None


def _failure(reason: str, position: int) -> Failure:
    return Failure(Condition.TRUNCATION, reason, position)
