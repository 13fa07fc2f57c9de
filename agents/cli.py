"""The command `agent`.

Subcommands are imported when they are used, so that `agent --help` needs no model and no chain.
"""

import importlib
import os
import sys
import traceback

import click

COMMANDS = {
    "ask": ("agents.consumer.commands:ask", "Pay a node for an answer, and check it."),
    "jobs": ("agents.consumer.commands:jobs", "Your jobs: where each stands; settle what is left."),
    "challenge": ("agents.consumer.court_commands:challenge", "Have a wrong answer judged by the court."),
    "appeal": ("agents.consumer.court_commands:appeal", "Pay for a second panel where the first was wrong."),
    "disputes": ("agents.consumer.court_commands:disputes", "Disputes: phase, votes, what is next and when."),
    "verify": ("agents.consumer.commands:verify", "Check an answer again."),
    "money": (
        "agents.consumer.money_commands:money",
        "Every balance: where, until when, what to do.",
    ),
    "deposit": ("agents.consumer.money_commands:deposit", "Put tokens into the Vault."),
    "withdraw": ("agents.consumer.money_commands:withdraw", "Take tokens out of the Vault."),
    "check": ("agents.consumer.money_commands:check", "What this machine lacks, and how to mend it."),
    "node": ("agents.node.commands:node", "Run a node, and its stake."),
    "trainer": ("agents.trainer.commands:trainer", "Publish a model."),
    "account": ("agents.chain.commands:account", "Make, list and import keys (Ethereum keystores)."),
    "store": ("agents.storage.commands:store", "Add, fetch and serve content by CID."),
    "devnet": ("agents.devnet.commands:devnet", "A whole market on this machine, to try things on."),
    "demo": ("agents.devnet.commands:demo", "Watch the market work, cheat and recover in a few minutes."),
}

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    epilog="""\b
Examples:
  agent demo                         the whole market in a few minutes, on this machine
  agent devnet                       a market that stays up, to type commands against
  agent ask "Why is the sky blue?"   pay a node for an answer and check it
  agent node run --help              sell answers""",
)
@click.version_option(package_name="capek", prog_name="agent")
def cli() -> None:
    """Capek: a market where AI models compete. Answers are paid and checked; a wrong one is proved wrong."""


def main() -> None:
    """Run `agent`. Whatever goes wrong ends in one line that says what, and the command's exit code or 1."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (`agent … | head`): the interpreter's last flush must not fail on stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CAPEK_DEBUG"):
            traceback.print_exc()
        from agents.terminal.screen import fit_for_terminal

        click.echo(f"Error: {fit_for_terminal(str(error)) or type(error).__name__}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
