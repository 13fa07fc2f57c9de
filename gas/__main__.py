"""`python -m gas`: measure and compare with the snapshot; `--write`: measure and replace it."""

import argparse
import sys

from gas.measure import differences, measure, read, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gas", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace gas/snapshot.json")
    options = parser.parse_args()
    found, committed = measure(), read()
    for name, gas in found.items():
        before = committed.get(name)
        change = f"  {gas - before:+,}" if before is not None and before != gas else ""
        print(f"{name:<34}{gas:>10,}{change}")
    if options.write:
        write(found)
        return 0
    return 1 if differences(found, committed) else 0


if __name__ == "__main__":
    sys.exit(main())
