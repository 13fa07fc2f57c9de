"""Call data of the verbs of a dispute that come with money, for the Vault: `payAndCall` to whom it concerns.

The other verbs are plain calls: `court.contract.data("commit", …)`, `market.escrow.data("closeDispute", …)`.
"""

from collections.abc import Sequence

from agents.market.court import Court
from agents.market.evidence import Case
from agents.market.paid_calls import paid_call
from agents.market.reads import Market
from agents.protocol.messages import Completion, Job, as_tuple
from agents.protocol.tokens import OUTPUT, PROMPT, mask


def challenge_data(
    market: Market,
    job: Job,
    completion: Completion,
    secret: bytes,
    prompt: Sequence[int],
    output: Sequence[int],
    bond: int,
) -> bytes:
    """Dispute an answer, by its client; `bond` is `court.bond(prompt and output tokens together)`.

    Raises:
        TokenError: the secret is not 32 bytes, or a token outside uint32.
    """
    evidence = secret, mask(secret, PROMPT, prompt), mask(secret, OUTPUT, output)
    terms = as_tuple(job), as_tuple(completion)
    to = market.escrow.address
    return paid_call(market, "IJobEscrowPayments", to, bond, "challenge", *terms, *evidence)


def appeal_data(market: Market, court: Court, opener: str, case: Case) -> bytes:
    """Fund the one appeal of a dispute, by anyone, while it is appealable."""
    cost = court.appeal_cost(case.tokens)
    return paid_call(market, "IDisputeCourtPayments", court.address, cost, "appeal", opener, case.as_tuple())
