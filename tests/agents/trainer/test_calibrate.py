"""Calibrating a model: real margins between two kinds of machine, thresholds that hold the noisier pair."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from agents.engine.llama import EngineConfig
from agents.engine.native import CANONICAL, NATIVE
from agents.protocol.manifest import FLOORS
from agents.terminal.exits import BadInput
from agents.trainer import calibrate
from agents.trainer.commands import trainer
from agents.trainer.errors import BadModel
from bench.rastic.impostors import WEIGHTS

PLAN = calibrate.Plan(answers=60)


def drawn(spread):
    """Margins as a pair of machines of this kind would have them."""

    def margins(writer, judge, jobs, plan, greedy):
        noise = np.random.Generator(np.random.Philox(key=len(jobs)))
        width = spread[writer.profile] * (1 if greedy else 2)
        return [np.where(noise.random(90) < 0.03, noise.exponential(width, 90), 0.0) for _ in jobs]

    return margins


def test_the_noisier_pair_sets_the_thresholds(monkeypatch):
    said = []
    monkeypatch.setattr(calibrate, "_margins", drawn({NATIVE: 0.1, CANONICAL: 0.02}))
    both = calibrate.run(WEIGHTS, PLAN, 1, said.append)
    monkeypatch.setattr(calibrate, "_margins", drawn({NATIVE: 0.02, CANONICAL: 0.02}))
    quiet = calibrate.run(WEIGHTS, PLAN, 1, said.append)
    rules, calm = both.verification().tolerant, quiet.verification().tolerant
    assert rules.greedy.refuse_max > 3 * calm.greedy.refuse_max
    assert rules.sampled.refuse_max > rules.greedy.refuse_max
    assert rules.greedy.slash_max >= 2 * rules.greedy.refuse_max
    assert calm.greedy.slash_max == FLOORS.tolerant.greedy.slash_max
    assert len(said) == 8
    assert all("60 answers" in line for line in said)


def test_honest_answers_that_can_not_be_told_from_wrong_ones_are_no_calibration(monkeypatch):
    monkeypatch.setattr(calibrate, "_margins", lambda *_: [np.array([0.0, np.inf])] * 30)
    with pytest.raises(BadModel, match="fix that setting in the manifest"):
        calibrate.run(WEIGHTS, PLAN, 1, lambda _: None)


def test_too_few_answers_are_refused(monkeypatch):
    monkeypatch.setattr(calibrate, "_margins", drawn({NATIVE: 0.1, CANONICAL: 0.02}))
    with pytest.raises(BadModel, match="too few"):
        calibrate.run(WEIGHTS, calibrate.Plan(answers=20), 1, lambda _: None)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "no.gguf"
    path.write_bytes(b"nothing")
    with pytest.raises(BadModel, match="does not run"):
        calibrate.run(path, PLAN, 1, lambda _: None)


def test_real_margins_between_two_kinds_of_machine_are_small_and_not_all_zero():
    writer = EngineConfig(WEIGHTS, context=256, sequences=2, threads=1, profile=NATIVE)
    found = calibrate._margins(writer, CANONICAL, range(4), calibrate.Plan(tokens=40), greedy=True)
    margins = np.concatenate(found)
    assert margins.size > 80
    assert 0 < (margins > 0).mean() < 0.15
    assert margins.max() < 1.5


def test_the_prompts_are_not_those_of_the_measurement():
    from bench.rastic.prompts import load

    held_out = {message["content"] for prompt in load() for message in prompt.messages}
    asked = calibrate.prompts()
    assert len(set(asked)) == len(asked) >= 60
    assert not held_out & set(asked)


def test_the_command_writes_thresholds_that_publish_reads(monkeypatch, tmp_path):
    monkeypatch.setattr(calibrate, "_margins", drawn({NATIVE: 0.1, CANONICAL: 0.02}))
    out = tmp_path / "thresholds.json"
    done = CliRunner(mix_stderr=False).invoke(
        trainer, ["calibrate", str(WEIGHTS), "--out", str(out), "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "refuse above" in done.output
    assert "prove less than 0.0487" in done.output  # 1 - 0.05 ** (1 / 60)
    again = calibrate.run(WEIGHTS, PLAN, 1, lambda _: None).verification()
    assert calibrate.load(out) == again
    out.write_text("{}")
    with pytest.raises(BadInput, match="no thresholds"):
        calibrate.load(out)


def test_the_command_speaks_json(monkeypatch):
    monkeypatch.setattr(calibrate, "_margins", drawn({NATIVE: 0.1, CANONICAL: 0.02}))
    done = CliRunner(mix_stderr=False).invoke(trainer, ["calibrate", str(WEIGHTS), "--json"])
    found = json.loads(done.output)
    assert found["calibrations"]["sampled"][0]["answers"] == 60
    assert found["verification"]["exact"] == {"slash_max": 20_000}
