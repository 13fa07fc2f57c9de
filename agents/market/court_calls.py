"""Call data of the verbs of a dispute that come with money, for the Vault: `payAndCall` to whom it concerns.

The other verbs are plain calls: `court.contract.data("commit", …)`, `market.escrow.data("closeDispute", …)`.
"""

from collections.abc import Sequence

from agents.chain.contracts import Contract
from agents.market.court import Court
from agents.market.evidence import Case
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
    payments = Contract(market.connection, "IJobEscrowPayments", market.escrow.address)
    call = payments.data("challenge", as_tuple(job), as_tuple(completion), *evidence)
    return market.vault.data("payAndCall", market.escrow.address, bond, call)


def appeal_data(market: Market, court: Court, opener: str, case: Case) -> bytes:
    """Fund the one appeal of a dispute, by anyone, while it is appealable."""
    payments = Contract(market.connection, "IDisputeCourtPayments", court.address)
    call = payments.data("appeal", opener, case.as_tuple())
    return market.vault.data("payAndCall", court.address, court.appeal_cost(case.tokens), call)
