"""Checking an answer again, from the journal or from a file; the chain is asked only who has the model, when
it is not here."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.chain.errors import ChainError
from agents.consumer.book import Record
from agents.consumer.explain import explained
from agents.consumer.loading import load_model
from agents.consumer.running import RunningModel
from agents.consumer.settings import ConsumerSettings
from agents.market.errors import NoModel
from agents.market.models import ModelVersion, peers_of
from agents.market.opening import open_market
from agents.protocol.messages import Completion, Job, MessageError, from_json, struct_hash, to_json
from agents.protocol.tokens import NotSigned, TokenError, check_output, check_prompt
from agents.rastic import Verdict
from agents.storage.local import LocalStore
from agents.terminal.exits import BadInput
from agents.terminal.screen import Screen

FORMAT = "capek-job/1"
_MOST_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a check of an answer needs. `model` is its full name, `manifest` the sha2-256 of its manifest.
    Where the model's files may be had is no part of it: a stranger's file must not choose who is called."""

    job: Job
    completion: Completion
    model: str
    manifest: bytes
    secret: bytes
    prompt: tuple[int, ...]
    output: tuple[int, ...]

    @classmethod
    def of(cls, record: Record) -> "Evidence":
        """Raises BadInput when the job has no answer."""
        if record.completion is None or record.output is None:
            raise BadInput(f"job {record.name} has no answer to check; `agent jobs` says where it stands")
        return cls(
            record.job,
            record.completion,
            record.model,
            record.manifest,
            record.secret,
            record.prompt,
            record.output,
        )

    @classmethod
    def read(cls, path: Path) -> "Evidence":
        """What `write` wrote.

        Raises:
            BadInput: the file can't be read or is no such file.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise BadInput(f"{path} is too large for an exported job")
            found = json.loads(path.read_text())
            if not isinstance(found, dict) or found.get("format") != FORMAT:
                raise BadInput(
                    f"{path} is no exported job ({FORMAT}): make one with `agent jobs JOB --export FILE`"
                )
            return cls(
                job=from_json(Job, found["job"]),
                completion=from_json(Completion, found["completion"]),
                model=str(found["model"]),
                manifest=bytes.fromhex(found["manifest"][2:]),
                secret=bytes.fromhex(found["secret"][2:]),
                prompt=_tokens(found["prompt"]),
                output=_tokens(found["output"]),
            )
        except OSError as error:
            raise BadInput(f"can't read {path}: {error.strerror}") from None
        except (KeyError, TypeError, ValueError, MessageError, RecursionError) as error:
            raise BadInput(f"{path} is no sound exported job ({error}): export it again") from None

    def write(self, path: Path) -> None:
        """As JSON, for somebody else to check. It holds the prompt and the answer in the clear (mode 0600).

        Raises:
            BadInput: there is such a file already, or it can't be written.
        """
        text = {
            "format": FORMAT,
            "job": to_json(self.job),
            "completion": to_json(self.completion),
            "model": self.model,
            "manifest": "0x" + self.manifest.hex(),
            "secret": "0x" + self.secret.hex(),
            "prompt": list(self.prompt),
            "output": list(self.output),
        }
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(text, file)
        except FileExistsError:
            raise BadInput(f"{path} is there already: choose another name") from None
        except OSError as error:
            raise BadInput(f"can't write {path}: {error.strerror}") from None

    def check_hashes(self) -> None:
        """Hold prompt and answer against what both sides signed.

        Raises:
            BadInput: they are not the ones.
        """
        try:
            if self.completion.job_hash != struct_hash(self.job):
                raise NotSigned("the completion belongs to another job")
            check_prompt(self.job, self.secret, self.prompt)
            check_output(self.completion, self.secret, self.output)
        except (NotSigned, TokenError) as error:
            raise BadInput(f"this proves nothing about the node: {error}") from None


@dataclass(frozen=True, slots=True)
class Checked:
    """A verdict, and the same drawn for a person, line by line; nothing drawn unless asked for."""

    verdict: Verdict
    drawn: tuple[str, ...] = ()


def check(
    evidence: Evidence, settings: ConsumerSettings, screen: Screen, *, explain: bool = False
) -> Checked:
    """Run RASTiC anew.

    Raises:
        BadInput: the evidence does not fit together.
        NoModel: the model can't be had or run here.
    """
    evidence.check_hashes()
    job = evidence.job
    trainer, _, rest = evidence.model.partition("/")
    version = ModelVersion(
        job.model_id, job.version, trainer, rest.rpartition("@")[0], evidence.manifest, job.model_fee
    )
    model = _model(version, settings, screen)
    with model, screen.waiting("checking every token"):
        found = model.examine(job, evidence.prompt, evidence.completion, evidence.output)
        if not explain:
            return Checked(found.verdict)
        drawn = explained(
            found.claim,
            found.verdict,
            found.margins,
            model.manifest.verification,
            model.text_of,
            lambda place: model.own_choice(job, evidence.prompt, evidence.output, place),
        )
        return Checked(found.verdict, tuple(drawn))


def _model(version: ModelVersion, settings: ConsumerSettings, screen: Screen) -> RunningModel:
    """From this machine and its own peers; only when they lack it, from the nodes that the chain names."""
    store = LocalStore(settings.store_path())
    try:
        return load_model(store, version, settings.peers, settings, screen)
    except NoModel:
        try:
            market = open_market(settings.rpc_url, settings.deployment)
            peers = peers_of(market, version.model_id, settings.peers, allow_private=settings.allow_private)
        except ChainError:
            peers = []
        if not peers:
            raise
    return load_model(store, version, peers, settings, screen)


def verdict_json(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    """For programs."""
    return {
        "job": "0x" + struct_hash(evidence.job).hex(),
        "model": evidence.model,
        "node": evidence.job.node,
        **verdict.to_json(),
        "explanation": verdict.explain(),
    }


def _tokens(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(t) is int for t in value):
        raise TypeError("its tokens are not a list of numbers")
    return tuple(value)
