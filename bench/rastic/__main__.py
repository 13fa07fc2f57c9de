"""`python -m bench.rastic`: the whole measurement, hours; what is on disk is not measured again.

python -m bench.rastic [--count N]    campaign in two lanes, cost, tables, figures
python -m bench.rastic tables         tables, figures and docs/rastic.md from what is on disk
python -m bench.rastic cost           what a check costs, alone
"""

import subprocess
import sys

import click

from bench.rastic import campaign, classes, cost, figures, report, table
from bench.rastic.prompts import MODES
from bench.results import record


@click.command()
@click.argument("part", type=click.Choice(["all", "tables", "cost"]), default="all")
@click.option("--count", default=campaign.COUNT, show_default=True, help="How many prompts.")
def main(part: str, count: int) -> None:
    """Measure how well cheating is caught, and what that costs."""
    if part == "all":
        lanes = [
            subprocess.Popen([sys.executable, "-m", "bench.rastic.campaign", mode, str(count)])
            for mode in MODES
        ]
        codes = [lane.wait() for lane in lanes]
        if any(codes):
            raise click.ClickException("the campaign broke off; run it again, it goes on where it was")
    if part in ("all", "cost"):
        record([*cost.measure(), *cost.measure_siblings()])
    if part != "cost":
        table.measure()
        record(classes.measure())
        figures.main()
        report.main()


if __name__ == "__main__":
    main()
