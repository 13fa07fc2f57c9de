import sys

import pytest

from scripts.setup.stages import Result, Stage, Totals, read_totals, run, table


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Ran 9 test suites in 4s (6s CPU time): 123 tests passed, 1 failed, 2 skipped (126 total tests)",
            (123, 1, 2),
        ),
        (
            "Ran 1 test suite in 1ms (1ms CPU time): 1 tests passed, 0 failed, 0 skipped (1 total tests)",
            (1, 0, 0),
        ),
        ("=========== 12 passed, 1 skipped, 3 warnings in 3.40s ===========", (12, 0, 1)),
        ("====== 1 failed, 12 passed, 2 errors in 61.40s (0:01:01) ======", (12, 3, 0)),
        ("\x1b[32m===== \x1b[1m5 passed\x1b[0m in 0.10s =====\x1b[0m", (5, 0, 0)),
        ("=========== no tests ran in 0.01s ===========", (0, 0, 0)),
        ("=========== 1 xfailed, 1 xpassed in 0.01s ===========", (1, 1, 0)),
        ("=========== short test summary info ===========", (0, 0, 0)),
    ],
)
def test_reads_the_summary_of_forge_and_pytest(line: str, expected: tuple[int, int, int]) -> None:
    assert read_totals([f"{line}\n", "some other line\n"]) == Totals(*expected)


def stage(code: str) -> Stage:
    return Stage("agents", (sys.executable, "-c", code))


def test_a_suite_passes_only_with_its_exit_status_and_some_tests() -> None:
    assert run(stage("print('== 3 passed in 0.1s ==')")).ok
    assert not run(stage("print('== 3 passed in 0.1s =='); raise SystemExit(1)")).ok
    assert not run(stage("pass")).ok
    assert not run(Stage("ape", ("/does/not/exist",))).ok


def test_the_table_ends_with_the_totals_and_the_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    good = Result("forge", Totals(10, 0, 1), 0, 4.0)
    bad = Result("ape", Totals(2, 1, 0), 1, 3.0)
    lines = table([good, bad]).splitlines()
    assert lines[-2].split() == ["total", "12", "1", "1", "7"]
    assert lines[-1] == "FAILED: ape"
    assert table([good]).splitlines()[-1] == "all passed"
