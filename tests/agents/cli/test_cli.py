"""The command `agent`: every subcommand explains itself, and errors are one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from agents.cli import COMMANDS, INTERRUPTED, cli


def agent(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agents.cli", *args]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )


def leaves(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        return [leaf for sub, inner in command.commands.items() for leaf in leaves(f"{name} {sub}", inner)]
    return [(name, command)]


def test_help_lists_every_command() -> None:
    found = CliRunner().invoke(cli, ["--help"])
    assert found.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in found.output
        assert text.split(".")[0][:30] in found.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_examples(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)  # type: ignore[attr-defined]
    assert command is not None
    shown = command.epilog or ""
    for full, leaf in leaves(name, command):
        assert leaf.help, f"{full} has no help"
        assert f"agent {full}" in (leaf.epilog or shown), f"{full} has no example"


def test_an_unknown_command_is_refused() -> None:
    found = agent("frobnicate")
    assert found.returncode == 2
    assert "frobnicate" in found.stderr


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    found = agent("store", "get", "not-a-cid", "--store-dir", str(tmp_path))
    assert found.returncode == 1
    assert found.stderr.startswith("Error: ")
    assert "Traceback" not in found.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    found = subprocess.run(
        f"{sys.executable} -m agents.cli --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0
    assert "Traceback" not in found.stderr


def test_interrupted_has_the_shells_code() -> None:
    assert INTERRUPTED == 130


def test_store_add_and_get(tmp_path: Path) -> None:
    file = tmp_path / "hello.txt"
    file.write_bytes(b"hello\n")
    added = agent("store", "add", str(file), "--store-dir", str(tmp_path / "store"))
    # What `ipfs add --cid-version 1 --raw-leaves` prints for these bytes.
    assert added.stdout.strip() == "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
    got = agent("store", "get", added.stdout.strip(), "--store-dir", str(tmp_path / "store"))
    assert Path(got.stdout.strip()).read_bytes() == b"hello\n"


def test_accounts_are_made_listed_and_never_overwritten(tmp_path: Path) -> None:
    env = {"CAPEK_KEYSTORE": str(tmp_path), "CAPEK_PASSWORD": "correct horse"}
    made = agent("account", "new", "alice", env=env)
    assert made.returncode == 0, made.stderr
    listed = json.loads(agent("account", "list", "--json", env=env).stdout)
    assert listed["alice"] in made.stdout
    again = agent("account", "new", "alice", env=env)
    assert again.returncode == 1
    assert "never overwritten" in again.stderr
    assert (tmp_path / "alice.json").stat().st_mode & 0o777 == 0o600


def test_a_bad_private_key_is_not_repeated(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 31)
    env = {"CAPEK_KEYSTORE": str(tmp_path), "CAPEK_PASSWORD": "x"}
    found = agent("account", "import", "bob", "--key-file", str(key), env=env)
    assert found.returncode == 1
    assert "abab" not in found.stdout + found.stderr
    assert not (tmp_path / "bob.json").exists()
