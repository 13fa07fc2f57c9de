"""`python -m bench [NAME …]`: measure, and write bench/results.json."""

import importlib
from collections.abc import Callable

import click

from bench.results import Result, record

BENCHMARKS = {
    "engine": "tokens/s through a node over tokens/s of the same model called directly",
    "rastic": "what checking an answer costs; a sample, the whole of it is `make bench-rastic`",
    "tuning": "a training step over plain PyTorch and PEFT; a repeated segment over the run; bytes",
    "demo": "seconds that the demo takes once set up",
    "setup": "seconds from a fresh clone and empty caches to a demo that can run (builds llama.cpp)",
}


@click.command(epilog="\b\n" + "\n".join(f"  {name:8} {text}" for name, text in BENCHMARKS.items()))
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
def main(names: tuple[str, ...]) -> None:
    """Measure NAMES, or everything; each is bench/NAME.py and has `measure() -> list[Result]`."""
    for name in names or BENCHMARKS:
        print(f"measuring {name}: {BENCHMARKS[name]} …", flush=True)
        measure: Callable[[], list[Result]] = importlib.import_module(f"bench.{name}").measure
        record(measure())


if __name__ == "__main__":
    main()
