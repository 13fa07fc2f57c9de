"""`agent trainer function`: from a template to a module that was tried out, and what is said of mistakes."""

import json
import shutil
import struct

import pytest
from click.testing import CliRunner

from agents.cli import cli
from agents.tuning.build import SHIPPED, shipped


@pytest.fixture
def agent():
    runner = CliRunner(mix_stderr=False)
    return lambda *words: runner.invoke(cli, ["trainer", "function", *map(str, words)])


@pytest.fixture
def dpo(tmp_path):
    path = tmp_path / "dpo.wasm"
    path.write_bytes(shipped("dpo"))
    return path


def test_a_new_function_is_built_and_tried(agent, tmp_path):
    if not (SHIPPED / "node_modules").exists() or shutil.which("node") is None:
        pytest.skip("AssemblyScript is not installed: `npm ci` in agents/tuning/functions")
    folder = tmp_path / "my-own"
    done = agent("new", folder, "--template", "policy_gradient")
    assert done.exit_code == 0, done.stderr
    assert "my_own.ts" in done.stdout
    (folder / "node_modules").symlink_to(SHIPPED / "node_modules")
    done = agent("build", folder / "assembly" / "my_own.ts", "--json")
    assert done.exit_code == 0, done.stderr
    built = json.loads(done.stdout)
    assert built["cid"].startswith("bafk")
    assert (folder / "my_own.wasm").read_bytes() == shipped("policy_gradient")
    done = agent("test", folder / "my_own.wasm", "--pairs", "9", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["steps_done"] == 3


def test_a_try_says_what_a_run_costs(agent, dpo):
    done = agent("test", dpo, "--pairs", 10, "--shards", 2, "--shard", 1)
    assert done.exit_code == 0, done.stderr
    assert "step 0: 4 pairs, loss 1.0" in done.stdout + done.stderr
    assert "steps   2 of 2" in done.stdout
    assert "bit for bit" in done.stdout


def test_parameters_are_bytes_of_a_file(agent, dpo, tmp_path):
    params = tmp_path / "params.bin"
    params.write_bytes(struct.pack("<i", 1))
    done = agent("test", dpo, "--params", params, "--pairs", 3, "--json")
    assert json.loads(done.stdout)["steps"] == 3


def test_a_function_that_is_stopped_says_why_and_ends_with_1(agent, dpo, tmp_path):
    params = tmp_path / "params.bin"
    params.write_bytes(struct.pack("<if", 1, 5.0))
    done = agent("test", dpo, "--params", params)
    assert done.exit_code == 1
    assert "learning rate of 1" in done.stderr
    done = agent("test", dpo, "--params", params, "--json")
    assert done.exit_code == 1
    assert "learning rate" in json.loads(done.stdout)["stopped"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["test", "gone.wasm"], "can't be read"),
        (["test", __file__], "no WebAssembly"),
        (["build", "gone.ts"], "there is no file"),
        (["new", "gone", "--name", "../x"], "no name"),
    ],
)
def test_wrong_input_is_said_in_one_line(agent, words, why):
    done = agent(*words)
    assert done.exit_code == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_shard_that_is_not_there_is_refused(agent, dpo):
    done = agent("test", dpo, "--shard", 2, "--shards", 2)
    assert done.exit_code == 2
    assert "no shard 2 of 2" in done.stderr
