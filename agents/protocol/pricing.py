"""What an answer costs and who gets it (docs/protocol.md section 1): prices round up, fees down."""

from dataclasses import dataclass

from .messages import Job

PER_MILLION = 1_000_000


class PriceError(ValueError):
    """More output than the job allows."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One job's money in base units: `payment = model_fee + node_share`, `payment + refund = ceiling`."""

    payment: int
    model_fee: int
    node_share: int
    refund: int


def settle(job: Job, output_tokens: int) -> Settlement:
    """Split the job's ceiling for an answer of `output_tokens`.

    Raises:
        PriceError: `output_tokens` is negative or above the job's `max_tokens`.
    """
    if not 0 <= output_tokens <= job.max_tokens:
        raise PriceError(f"{output_tokens} output tokens, but the job allows 0 to {job.max_tokens}")
    price = -(-(job.prompt_tokens * job.input_price + output_tokens * job.output_price) // PER_MILLION)
    payment = min(price, job.ceiling)
    fee = min((job.prompt_tokens + output_tokens) * job.model_fee // PER_MILLION, payment)
    return Settlement(payment, fee, payment - fee, job.ceiling - payment)


def full_price(job: Job) -> int:
    """The most the job can cost by its prices alone: what its ceiling should at least be."""
    return -(-(job.prompt_tokens * job.input_price + job.max_tokens * job.output_price) // PER_MILLION)
