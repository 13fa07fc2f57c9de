"""A model in a process of its own, for one check: killed when its time is over, and no harm when it dies."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from agents.engine import EngineError
from agents.engine.interface import NO_LOGITS, Examination
from agents.node.court.errors import NoSuchModel, NotNow, Unrunnable
from agents.node.court.foreign import NOT_FINITE, NOT_NOW, UNUSABLE, Plan
from agents.protocol.manifest import Manifest
from agents.protocol.sampling import Sampling

COMMAND: Final = (sys.executable, "-m", "agents.node.court.foreign")

_MOST_BYTES = 8 << 20


class Died(Unrunnable):
    """The model took its process with it."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """See `examiner.Vocabulary`."""

    vocab_size: int


class Child:
    """See `examiner.Reader`. One thread uses it; `close` may come from another.

    `manifest` and `bit_class` are what the model proved to be.

    Raises (from `load`, and the future of `examine`; NotNow at once, too):
        NotNow: the model, or a process, can't be had just now, or the child was closed.
        NoSuchModel: its own bytes say that nobody can use it.
        Unrunnable: it can't be run here, or not within `seconds` from now in all.
        Died: it made its process end.
    """

    def __init__(self, plan: Plan, seconds: float, command: Sequence[str] = COMMAND) -> None:
        self._late = self._closed = False
        self._seconds = seconds
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the node to understand
            )
        except OSError as error:
            raise NotNow(f"no process can be started for it: {error.strerror}") from None
        self._timer = threading.Timer(max(0.0, seconds), self._expire)
        self._timer.daemon = True
        self._timer.start()
        self._plan = plan

    def load(self) -> None:
        """Have the model there; before anything else."""
        answer = self._ask(asdict(self._plan))
        try:
            self.manifest = Manifest.load(str(answer["manifest"]).encode(), self._plan.model.digest)
            self.bit_class = bytes.fromhex(answer["bit_class"])
            self.tokenizer = Vocabulary(int(answer["vocabulary"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Died(f"its process answered nonsense ({type(error).__name__})") from None

    def examine(
        self,
        prompt: Sequence[int],
        output: Sequence[int],
        sampling: Sampling,
        positions: Sequence[int],
        tolerance: int = 0,
    ) -> "Future[Examination]":
        """As `Engine.examine`; it is done when this returns."""
        request = {
            "prompt": list(prompt),
            "output": list(output),
            "seed": sampling.seed,
            "node": sampling.node.hex(),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "positions": list(positions),
            "tolerance": tolerance,
        }
        future: Future[Examination] = Future()
        try:
            future.set_result(_examination(self._ask(request), len(output), len(positions)))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """End it, whatever it does."""
        self._closed = True
        self._timer.cancel()
        self._process.kill()

    def end(self) -> None:
        """`close` by the thread that used it: nothing is left of it."""
        self.close()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue

    def _expire(self) -> None:
        self._late = True
        self._process.kill()

    def _ask(self, message: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(_MOST_BYTES)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._gone()
        try:
            answer = json.loads(line)
        except ValueError:
            raise Died("its process answered nonsense") from None
        if "error" not in answer:
            return answer
        text = str(answer.get("text"))
        kind = answer["error"]
        if kind == NOT_NOW:
            raise NotNow(text)
        if kind == UNUSABLE:
            raise NoSuchModel(text)
        if kind == NOT_FINITE:
            raise EngineError(text) from ValueError(text)
        raise Unrunnable(text)

    def _gone(self) -> Exception:
        self._process.kill()
        code = self._process.wait()
        if self._late:
            return Unrunnable(f"it could not be had, loaded and run within {self._seconds:.0f} s")
        if self._closed:
            return NotNow("the check was broken off")
        return Died(
            f"its process ended with code {code}: the weights are damaged, or too much for this machine"
        )


def _environment() -> dict[str, str]:
    """Without the account's password, and with threads that sleep while they wait: the node's own engines
    compute on the same cores.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAPEK_")}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return kept | {"PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}


def _examination(answer: Mapping[str, Any], tokens: int, positions: int) -> Examination:
    margins = np.array(answer["margins"], dtype=np.float64)
    second = tuple(int(token) for token in answer["second_best"])
    if margins.shape != (tokens,) or len(second) != positions:
        raise Died("its process answered nonsense")
    if not (margins >= 0).all() or not all(0 <= token <= NO_LOGITS for token in second):
        raise Died("its process answered nonsense")
    return Examination(margins, second)
