"""Whether a job asks for what this node sells: everything that can be told from the job alone."""

from collections.abc import Mapping

from nacl.exceptions import CryptoError

from agents.engine.bitclass import TOLERANT
from agents.market.reads import Market
from agents.node.errors import Refusal
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings
from agents.protocol.messages import MAX_TOKENS, Job
from agents.protocol.pricing import full_price
from agents.protocol.sampling import MICRO
from agents.protocol.sealing import seal_output


def check_terms(
    job: Job,
    node: str,
    market: Market,
    sold: Mapping[tuple[int, int], ServedModel],
    settings: NodeSettings,
) -> ServedModel:
    """The model that the job is for.

    Raises:
        Refusal: 400, 402 or 404.
    """
    if job.node != node:
        raise Refusal(400, "wrong_node", f"this is node {node}, the job names {job.node}")
    if job.collector != market.escrow.address or job.channel != bytes(32):
        raise Refusal(
            400,
            "wrong_collector",
            f"this node is paid through the JobEscrow {market.escrow.address} on chain {market.chain_id}, "
            "with channel 0",
        )
    model = sold.get((job.model_id, job.version))
    if model is None:
        raise Refusal(
            404,
            "unknown_model",
            f"model {job.model_id} version {job.version} is not served here: see GET /v1/offer",
        )
    _check_prices(job, model)
    _check_form(job, model, settings)
    _check_tokens(job, model, settings)
    return model


def _check_prices(job: Job, model: ServedModel) -> None:
    if job.model_fee != model.version.fee:
        raise Refusal(
            402, "wrong_model_fee", f"the model's fee is {model.version.fee}, the job says {job.model_fee}"
        )
    if job.input_price < model.input_price or job.output_price < model.output_price:
        raise Refusal(
            402,
            "price_too_low",
            f"this node asks {model.input_price} and {model.output_price} per million tokens, the job offers "
            f"{job.input_price} and {job.output_price}",
        )
    if job.ceiling < full_price(job):
        raise Refusal(
            402,
            "ceiling_too_low",
            f"the answer can cost {full_price(job)} base units, the job's ceiling is {job.ceiling}",
        )


def _check_form(job: Job, model: ServedModel, settings: NodeSettings) -> None:
    if job.bit_class not in (TOLERANT, model.bit_class):
        raise Refusal(
            400,
            "wrong_bit_class",
            f"this node promises bit class 0x{model.bit_class.hex()}, or 0 for the tolerant rule",
        )
    try:
        seal_output(job.client_key, bytes(32), ())
    except (CryptoError, ValueError):
        raise Refusal(
            400, "bad_client_key", "nothing can be sealed to clientKey: make a fresh X25519 key for the job"
        ) from None
    if not 1 <= job.top_p <= MICRO or job.temperature > settings.max_temperature:
        raise Refusal(
            400,
            "bad_sampling",
            f"topP is 1 to {MICRO} and temperature 0 to {settings.max_temperature}, in millionths",
        )


def _check_tokens(job: Job, model: ServedModel, settings: NodeSettings) -> None:
    most = min(model.context, MAX_TOKENS)
    if not job.prompt_tokens or not job.max_tokens:
        raise Refusal(400, "no_tokens", "prompt and answer have at least one token each")
    if job.prompt_tokens + job.max_tokens > most:
        raise Refusal(
            400,
            "context_overflow",
            f"{job.prompt_tokens} prompt tokens and {job.max_tokens} for the answer exceed the context of "
            f"{most}: shorten the prompt or ask for fewer",
        )
    if job.max_tokens > settings.max_tokens:
        raise Refusal(400, "too_many_tokens", f"an answer here has at most {settings.max_tokens} tokens")
