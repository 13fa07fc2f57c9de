"""What strangers wrote reaches a terminal without the characters that could drive it."""

import json

import click
import pytest
from click.testing import CliRunner

from agents.terminal.exits import BadInput, explained
from agents.terminal.options import as_json
from agents.terminal.screen import Screen, fit_for_terminal

EVIL = "http://x/\x1b[2J\x1b]0;owned\x07\x9b1m\u202e\rname"


def harmless(text: str) -> bool:
    return "owned" in text and all(c.isprintable() or c in "\n\t" for c in text)


@click.command()
@as_json
@explained
def failing(as_json: bool) -> None:
    raise BadInput(EVIL)


def test_an_error_does_not_drive_the_terminal() -> None:
    ran = CliRunner(mix_stderr=False).invoke(failing, [])
    assert ran.exit_code == 2
    assert harmless(ran.stderr)
    ran = CliRunner(mix_stderr=False).invoke(failing, ["--json"])
    assert json.loads(ran.stdout)["error"] == EVIL, "programs get it whole, escaped"
    assert "\x1b" not in ran.stdout + ran.stderr


def test_progress_and_warnings_do_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say(EVIL)
    screen.warn(EVIL)
    with screen.waiting(EVIL) as update:
        update(EVIL + "!")
    with screen.loading(EVIL) as progress:
        progress(1, 1)
    shown = capsys.readouterr().err
    assert shown.count("owned") == 5
    assert harmless(shown)


def test_a_live_line_does_not_drive_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Screen().waiting(EVIL) as update:
        update(EVIL)
    assert "\x1b]0;" not in capsys.readouterr().err


def test_lines_and_letters_stay() -> None:
    assert fit_for_terminal("čapek\n\t“…”") == "čapek\n\t“…”"
