"""From a dispute's evidence to a vote and a witness, by running the model (docs/court.md, "Votes")."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from agents.engine import Busy, EngineClosed, EngineError
from agents.engine.interface import NO_LOGITS, Examination
from agents.market.court import Case, Opened, Vote
from agents.node.court.errors import NoSuchModel as NoSuchModel
from agents.node.court.errors import NotNow as NotNow
from agents.node.court.errors import Unrunnable as Unrunnable
from agents.protocol.manifest import Manifest
from agents.protocol.messages import Finish
from agents.protocol.sampling import MICRO, TOLERANCE, Sampling
from agents.rastic import Action, Claim, Mode, judge
from agents.rastic.witness import POSITIONS, pack

NO_WITNESS = pack([NO_LOGITS] * POSITIONS)
"""Where no position has logits."""

MAX_TEMPERATURE = 100 * MICRO
"""The most that the escrow lets a job ask for."""

_PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verifier says: its vote, the witness (32 bytes), and why, in a sentence for the log."""

    vote: Vote
    witness: bytes
    reason: str


class Examiner(Protocol):
    """Called from threads of the node's own; may take as long as a check takes."""

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        """Repeat the disputed work; `positions` are those of the witness.

        Raises:
            NotNow: it will be asked again while there is time.
        """


class Vocabulary(Protocol):
    """What an examiner needs of a tokenizer."""

    @property
    def vocab_size(self) -> int: ...


class Reader(Protocol):
    """What an examiner needs of an `Engine`."""

    @property
    def tokenizer(self) -> Vocabulary: ...

    def examine(
        self,
        prompt: Sequence[int],
        output: Sequence[int],
        sampling: Sampling,
        positions: Sequence[int],
        tolerance: int = 0,
    ) -> "Future[Examination]":
        """As `Engine.examine`."""


@dataclass(frozen=True, slots=True)
class Runnable:
    """A model that can be run here and now. `bit_class` is this machine's for it, 0 for none."""

    manifest: Manifest
    engine: Reader
    bit_class: bytes


class Models(Protocol):
    """Where the models for checks come from."""

    def run(
        self, model_id: int, version: int, tokens: int, seconds: float
    ) -> AbstractContextManager[Runnable]:
        """A model, ready for a text of so many tokens (as far as its own context reaches). Fetching, loading
        and running it may take so many seconds.

        Raises:
            NoSuchModel, Unrunnable, NotNow: see there.
        """


class EngineExaminer:
    """What the model says. `left` gives the seconds that there are for a check."""

    def __init__(self, models: Models, left: Callable[[Opened], float] = lambda _: _PATIENCE) -> None:
        self._models = models
        self._left = left

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        case = opened.case
        if strange := _strange(case):
            return Finding(Vote.DISMISSED, NO_WITNESS, strange)
        try:
            seconds = self._left(opened)
            with self._models.run(case.model_id, case.version, case.tokens, seconds) as model:
                return _examine(model, opened, positions, seconds)
        except NoSuchModel as error:
            return Finding(Vote.DISMISSED, NO_WITNESS, str(error))
        except Unrunnable as error:
            return Finding(Vote.UNABLE, NO_WITNESS, str(error))
        except (Busy, EngineClosed, TimeoutError) as error:
            raise NotNow(f"the engine can't take it now: {error}") from None
        except EngineError as error:
            if isinstance(error.__cause__, ValueError):
                # Work that is no number anywhere can't be judged, and every machine sees that alike.
                return Finding(Vote.DISMISSED, NO_WITNESS, f"there are no logits to judge by: {error}")
            return Finding(Vote.UNABLE, NO_WITNESS, f"the model fails here: {error}")


def _strange(case: Case) -> str | None:
    """Why no market could have had this job: anybody may open a case at the court, which nobody has checked
    then.
    """
    if case.finish not in set(Finish):
        return f"{case.finish} is no way for an answer to end"
    if not 1 <= case.top_p <= MICRO or case.temperature > MAX_TEMPERATURE:
        return f"no answer is sampled at temperature {case.temperature} and top-p {case.top_p} millionths"
    if case.output_tokens > case.max_tokens:
        return f"an answer of {case.output_tokens} tokens to a job for {case.max_tokens}"
    return None


def _examine(model: Runnable, opened: Opened, positions: Sequence[int], seconds: float) -> Finding:
    most, size = model.manifest.context_length, model.engine.tokenizer.vocab_size
    prompt, output = opened.prompt, opened.output
    # What can't be run is the fault of whoever said it, and all verifiers must see it alike.
    if not prompt or len(prompt) > most:
        return Finding(
            Vote.DISMISSED, NO_WITNESS, f"a prompt of {len(prompt)} tokens and a context of {most}"
        )
    if any(token >= size for token in prompt):
        return Finding(Vote.DISMISSED, NO_WITNESS, "the prompt has ids outside the vocabulary")
    fitting = output[: most - len(prompt)]
    exact = opened.exact and model.bit_class == opened.case.bit_class
    found = _read(model.engine, opened.case, prompt, fitting, positions, exact, seconds)
    witness = pack(_lanes(found, positions, len(prompt) + len(fitting)))
    if len(fitting) < len(output):
        reason = f"{len(prompt) + len(output)} tokens, more than the context of {most}"
        return Finding(Vote.UPHELD, witness, reason)
    vote, reason = _judge(model.manifest, opened, found, exact)
    if opened.exact and not exact:
        reason += " (judged by the tolerant rule: this machine is of another bit class)"
    return Finding(vote, witness, reason)


def _read(
    engine: Reader,
    case: Case,
    prompt: Sequence[int],
    output: Sequence[int],
    positions: Sequence[int],
    exact: bool,
    seconds: float,
) -> Examination:
    sampling = Sampling(case.seed, bytes.fromhex(case.node[2:]), case.temperature, case.top_p)
    inside = [at for at in positions if at < len(prompt) + len(output)]
    found: Future[Examination] = engine.examine(prompt, output, sampling, inside, 0 if exact else TOLERANCE)
    try:
        return found.result(max(0.0, seconds))
    except TimeoutError:
        found.cancel()
        raise


def _lanes(found: Examination, positions: Sequence[int], length: int) -> list[int]:
    second = iter(found.second_best)
    return [next(second) if at < length else NO_LOGITS for at in positions]


def _judge(manifest: Manifest, opened: Opened, found: Examination, exact: bool) -> tuple[Vote, str]:
    case = opened.case
    claim = Claim(
        tokens=opened.output,
        finish=Finish(case.finish),
        max_tokens=case.max_tokens,
        end_tokens=frozenset(manifest.end_tokens),
        greedy=case.temperature == 0,
    )
    verdict = judge(claim, found.margins, manifest.verification, Mode.EXACT if exact else Mode.TOLERANT)
    vote = Vote.UPHELD if verdict.action is Action.SLASH else Vote.DISMISSED
    return vote, verdict.explain()
