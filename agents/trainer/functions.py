"""`agent trainer function`: write, build and try out tuning functions. No chain, no model."""

import json
from pathlib import Path

import click

from agents.terminal.exits import explained
from agents.terminal.options import as_json
from agents.terminal.screen import Screen, fit_for_terminal

_TEMPLATES = ("dpo", "best_of_n", "policy_gradient")


@click.group(
    epilog="""\b
Examples:
  agent trainer function new ./mine --template dpo
  agent trainer function build ./mine/assembly/mine.ts
  agent trainer function test ./mine/mine.wasm --pairs 40 --shards 2"""
)
def function() -> None:
    """Write, build and try out tuning functions (docs/tuning-functions.md)."""


@function.command(
    epilog="\b\nExamples:\n  agent trainer function new ./mine\n"
    "  agent trainer function new ./best --template best_of_n"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Of the function; the folder's name by default.")
@click.option(
    "--template", type=click.Choice(_TEMPLATES), default="dpo", show_default=True, help="What to begin with."
)
@explained
def new(folder: Path, name: str | None, template: str) -> None:
    """Write a folder with a function's source and all that building it needs."""
    from agents.tuning.build import new as write

    source = write(folder, name or folder.resolve().name.lower().replace("-", "_"), template)
    click.echo(f"source  {source}")
    click.echo(f"next    agent trainer function build {source}")


@function.command(
    epilog="\b\nExamples:\n  agent trainer function build mine/assembly/mine.ts\n"
    "  agent trainer function build mine/assembly/mine.ts --out mine.wasm --json"
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="The module; by default NAME.wasm in the folder."
)
@as_json
@explained
def build(source: Path, out: Path | None, as_json: bool) -> None:
    """Compile AssemblyScript to a module, and check that it keeps to the ABI.

    The compiler comes from npm, in one version: everybody's build of a source has the same bytes. It needs
    Node.js.
    """
    from agents.protocol.cid import Cid
    from agents.tuning.build import build as compile_source

    target = out or source.resolve().parent.parent / f"{source.stem}.wasm"
    module = compile_source(source, target, Screen(quiet=as_json).say)
    cid = Cid.of(target.read_bytes())
    if as_json:
        click.echo(json.dumps({"module": str(target), "size": module.size, "cid": str(cid)}))
        return
    click.echo(f"module  {target}")
    click.echo(f"cid     {cid}")
    click.echo(f"next    agent trainer function test {target}")


@function.command(
    epilog="\b\nExamples:\n  agent trainer function test mine.wasm\n"
    "  agent trainer function test mine.wasm --params params.bin --pairs 100 --shard 1 --shards 4 --json"
)
@click.argument("module", type=click.Path(path_type=Path))
@click.option("--params", type=click.Path(path_type=Path), help="A file with the parameters, as bytes.")
@click.option(
    "--pairs", type=click.IntRange(0, 100_000), default=16, show_default=True, help="Made-up preferences."
)
@click.option("--shard", type=click.IntRange(0, 255), default=0, show_default=True)
@click.option("--shards", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--vocabulary", type=click.IntRange(16, 1 << 20), default=49_152, show_default=True)
@click.option("--context", type=click.IntRange(128, 1 << 20), default=8192, show_default=True)
@as_json
@explained
def test(
    module: Path,
    params: Path | None,
    pairs: int,
    shard: int,
    shards: int,
    vocabulary: int,
    context: int,
    as_json: bool,
) -> int:
    """Run a module on a host without a model: made-up preferences, samples and losses, real limits.

    Then the run is replayed on what was recorded, as those will do who check it.
    """
    from agents.trainer.trying import read_file, try_function
    from agents.tuning.abi import MAX_MODULE, MAX_PARAMS

    wasm = read_file(module, MAX_MODULE)
    given = b"" if params is None else read_file(params, MAX_PARAMS)
    screen = Screen(quiet=as_json)
    found = try_function(
        wasm,
        given,
        pairs,
        shard,
        shards,
        vocabulary,
        context,
        lambda line: screen.say(f"        {fit_for_terminal(line)}"),
    )
    if as_json:
        click.echo(json.dumps(found.to_json()))
        return 0 if found.stopped is None else 1
    click.echo(f"steps   {found.steps_done} of {found.steps}")
    click.echo(f"fuel    {found.fuel:,} in the costliest step, {found.fuel_limit:,} allowed")
    click.echo(f"memory  {found.memory >> 10:,} KiB, {found.memory_limit >> 10:,} allowed")
    click.echo(f"calls   {found.calls} in the busiest step; {found.gradients} gradient steps in all")
    click.echo(f"work    {found.work:,} tokens through the model: what is metered and paid")
    if found.stopped is not None:
        click.echo(f"Error: stopped: {found.stopped}", err=True)
        return 1
    click.echo("replay  the same, bit for bit")
    return 0
