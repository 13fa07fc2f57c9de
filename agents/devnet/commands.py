"""`agent demo` and `agent devnet`."""

import signal
import threading
from pathlib import Path

import click
from rich.console import Console

from agents.chain.paths import home
from agents.devnet.demo import Demo
from agents.devnet.network import Network
from agents.devnet.terms import DEVNET

_FOLDER = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where keys, journals and logs go; emptied first.",
)


@click.command(
    epilog="""\b
Examples:
  agent demo
  agent demo --report /tmp/report.json"""
)
@_FOLDER
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("demo-report.json"),
    show_default=True,
    help="What happened, as JSON.",
)
def demo(folder: Path | None, report: Path) -> None:
    """Watch the market work, cheat and recover, on this machine: real chain, real model, real processes."""
    console = Console()
    found = Demo(folder or home() / "demo", console).run()
    found.write(report)
    console.print(f"\nAll went as it should, in {found.seconds:.0f} s. The report: {report}", highlight=False)


@click.command(
    epilog="""\b
Examples:
  agent devnet
  agent devnet --port 8545 --nodes 1"""
)
@_FOLDER
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8545, show_default=True, help="Of the chain's RPC."
)
@click.option("--nodes", type=click.IntRange(1, 8), default=3, show_default=True)
def devnet(folder: Path | None, port: int, nodes: int) -> None:
    """Run a chain, a model and nodes until Ctrl-C, and say what to type against them."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    folder = folder or home() / "devnet"
    click.echo("starting a chain and deploying the contracts …")
    with Network(folder, DEVNET, port=port) as network:
        click.echo("publishing the model …")
        model = network.publish(network.account("trainer"))
        consumer = network.account("alice")
        network.run(consumer, "deposit", "1000")
        assert DEVNET.court is not None
        # Enough for an appeal, which one seat more than it draws makes a draw.
        seats = -(-(DEVNET.court.appeal_seats + 1) // nodes)
        for i in range(nodes):
            if done.is_set():
                return
            name = f"node{i + 1}"
            click.echo(f"starting {name} …")
            process = network.start_node(
                network.account(name), model, output_price=400_000 + 50_000 * i, seats=seats
            )
            network.wait_node(network.account(name), process)
        env = folder / "env"
        env.write_text(
            "".join(f"export {k}='{v}'\n" for k, v in consumer.env.items())
            + f"export CAPEK_MODEL='{model}'\n"
        )
        click.echo(
            f"""
The devnet is up: chain {network.chain.chain_id} at {network.chain.url}, {nodes} nodes, model {model}.
Each node has {seats} seats in the court, to be drawn from {2 * DEVNET.court.period} s after its start.
In another terminal:

  source {env}
  agent ask "Why is the sky blue?"
  agent money
  agent jobs --all
  agent disputes
  agent node status --account node1 --model {model}

Logs are in {folder / "logs"}. Ctrl-C stops everything; the next start begins anew."""
        )
        while not done.wait(1.0):
            dead = network.dead()
            if dead:
                raise click.ClickException(f"{dead.name} has ended:\n{dead.tail()}")
        click.echo("stopping …")
