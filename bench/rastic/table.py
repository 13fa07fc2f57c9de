"""From margins to the attack table: CSV files in bench/data/rastic and entries in bench/results.json."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.protocol.manifest import ExactThresholds, Thresholds, TolerantThresholds, Verification
from agents.protocol.messages import Finish
from agents.rastic import Action, Claim, Mode, judge
from agents.rastic.binomial import lower_bound, upper_bound
from agents.rastic.calibration import Calibration, calibrate
from agents.rastic.judge import mean_margin
from agents.rastic.sampled import detection, indices
from agents.rastic.sequential import Evidence, fit_bet
from bench.rastic import claims
from bench.rastic.claims import Case, Lane, Margins
from bench.rastic.prompts import DATA, MODES
from bench.rastic.score import LENGTHS, TIERS
from bench.results import Result, record

EXACT = ExactThresholds(slash_max=20_000)
CHECK_RATE = 0.01
"""Share of answers that a gateway checks (docs/rastic.md, "What trust costs")."""

FALSE_ALARMS = 1e-3
"""Chance that an honest node is ever accused by the sequential test."""

_LIVES, _LIFE = 400, 2_000
_SEEDS = [number.to_bytes(32, "big") for number in range(100)]


@dataclass(frozen=True, slots=True)
class Row:
    """Claims of one attack, `same` of them the honest answer after all; the others are to be refused."""

    tier: str
    mode: str
    attack: str
    length: int
    claims: int
    same: int
    refused: int
    slashed: int
    detected: float
    at_least: float
    auc: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many tokens until half, 99 % and 99.9 % of an attack's claims are refused; empty: not within
    `most`."""

    tier: str
    mode: str
    attack: str
    claims: int
    most: int
    half: int | None
    percent_99: int | None
    percent_999: int | None


@dataclass(frozen=True, slots=True)
class Many:
    """Answers until the sequential test accuses the node, of lives of 2,000 answers."""

    tier: str
    mode: str
    attack: str
    length: int
    lives: int
    accused: int
    half: float
    percent_999: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """The paper's check of k interior positions: caught over all answers and seeds, and its closed form's
    mean."""

    mode: str
    attack: str
    k: int
    answers: int
    wrong: float
    measured: float
    closed_form: float


def measure() -> None:
    """Write every table from what is on disk."""
    lanes = [claims.load(tier, mode) for tier in TIERS for mode in MODES]
    lanes = [lane for lane in lanes if lane.honest and lane.variants]
    rows: list[Row] = []
    tokens: list[Tokens] = []
    many: list[Many] = []
    sampled: list[Sampled] = []
    calibrations: dict[str, Calibration] = {}
    for lane in lanes:
        rule = Rule(lane)
        rows += _rows(lane, rule)
        tokens += _tokens(lane, rule)
        if lane.tier == "exact":
            sampled += _sampled(lane)
        else:
            calibrations[lane.mode] = rule.whole
            many += _many(lane)
    write("table.csv", rows)
    write("tokens.csv", tokens)
    write("sequential.csv", many)
    write("sampled.csv", sampled)
    _write_calibrations(calibrations)
    record([*_false_rejects(rows), *_detections(rows), *_cost_per_answer()])


class Rule:
    """Judges a case by thresholds that its own half of the jobs had no part in."""

    def __init__(self, lane: Lane) -> None:
        self.mode = Mode.EXACT if lane.tier == "exact" else Mode.TOLERANT
        self.greedy = lane.mode == "greedy"
        if self.mode is Mode.TOLERANT:
            halves = [[m for job, m in lane.honest.items() if job % 2 != half] for half in (0, 1)]
            self.halves = [calibrate(_finite(half)) for half in halves]
            self.whole = calibrate(_finite(lane.honest.values()))

    def verdict(self, case: Case) -> Action:
        """Of the judge that clients run."""
        if self.mode is Mode.EXACT:
            least = Thresholds(refuse_max=0, refuse_mean=0, slash_max=0, slash_mean=0)
        else:
            least = self.halves[case.job % 2].thresholds()
        verification = Verification(exact=EXACT, tolerant=TolerantThresholds(greedy=least, sampled=least))
        claim = Claim(case.tokens, case.finish, claims.MOST, frozenset({claims.END}), self.greedy)
        return judge(claim, case.margins, verification, self.mode).action

    def score(self, case: Case) -> float:
        """How suspicious a case is: what the AUC ranks by."""
        largest = float(case.margins.max(initial=0.0))
        if self.mode is Mode.EXACT:
            return largest
        found = self.halves[case.job % 2]
        return max(largest / found.refuse_max, mean_margin(case.margins) / found.refuse_mean)

    def first_refused(self, case: Case) -> int | None:
        """Of how many tokens a first part must be to be refused."""
        if self.mode is Mode.EXACT:
            wrong = case.margins > 0
        else:
            found = self.halves[case.job % 2]
            counts = np.maximum(np.arange(1, case.margins.size + 1), 32)
            means = np.cumsum(np.minimum(case.margins, 1)) / counts
            wrong = (case.margins > found.refuse_max) | (means > found.refuse_mean)
        return int(np.argmax(wrong)) + 1 if wrong.any() else None


def _rows(lane: Lane, rule: Rule) -> list[Row]:
    rows = []
    for length in LENGTHS:
        honest = claims.honest(lane, length)
        if not honest:
            continue
        baseline = np.array([rule.score(case) for case in honest])
        rows.append(_row(lane, "honest", length, honest, rule, baseline, honest))
        for name, cases in claims.attacks(lane, length):
            rows.append(_row(lane, name, length, cases, rule, baseline, [c for c in cases if not c.same]))
    return rows


def _row(
    lane: Lane,
    name: str,
    length: int,
    cases: Sequence[Case],
    rule: Rule,
    baseline: NDArray[np.float64],
    judged: Sequence[Case],
) -> Row:
    actions = [rule.verdict(case) for case in judged]
    refused = sum(action is not Action.ACCEPT for action in actions)
    return Row(
        tier=lane.tier,
        mode=lane.mode,
        attack=name,
        length=length,
        claims=len(cases),
        same=len(cases) - len(judged) if name != "honest" else 0,
        refused=refused,
        slashed=sum(action is Action.SLASH for action in actions),
        detected=refused / len(judged) if judged else math.nan,
        at_least=lower_bound(refused, len(judged)) if judged else math.nan,
        auc=auc(baseline, np.array([rule.score(case) for case in judged])) if judged else math.nan,
    )


def auc(honest: NDArray[np.float64], suspect: NDArray[np.float64]) -> float:
    """Chance that a suspect ranks above an honest one, ties counting half (Mann and Whitney 1947)."""
    ordered = np.sort(honest)
    below = np.searchsorted(ordered, suspect, "left")
    upto = np.searchsorted(ordered, suspect, "right")
    return float((below + upto).mean() / 2 / honest.size)


def _tokens(lane: Lane, rule: Rule) -> list[Tokens]:
    found = []
    longest: dict[str, dict[int, Case]] = {}
    for length in LENGTHS:
        for name, cases in claims.attacks(lane, length):
            if name in ("tail_cut", "forged_end") or name.startswith(("changed", "steered")):
                continue
            longest.setdefault(name, {}).update({case.job: case for case in cases})
    for name, by_job in longest.items():
        cases = [_whole(lane, name, case) for case in by_job.values()]
        cases = [case for case in cases if not case.same]
        if not cases:
            continue
        hits = sorted(first for case in cases if (first := rule.first_refused(case)) is not None)
        most = max(len(case.margins) for case in cases)

        def at(share: float, hits: list[int] = hits, count: int = len(cases)) -> int | None:
            needed = math.ceil(share * count)
            return hits[needed - 1] if needed <= len(hits) else None

        found.append(Tokens(lane.tier, lane.mode, name, len(cases), most, at(0.5), at(0.99), at(0.999)))
    return found


def _whole(lane: Lane, name: str, case: Case) -> Case:
    if name not in lane.impostors:
        return case
    answers, margins = lane.impostors[name]
    found = margins[case.job]  # maybe of the first tokens only
    tokens = answers[case.job].tokens[: len(found)]
    same = tokens == lane.answers[case.job].tokens[: len(tokens)]
    return Case(case.job, tokens, answers[case.job].finish, found, same)


def _sampled(lane: Lane) -> list[Sampled]:
    found = []
    for name, (_, margins) in lane.impostors.items():
        wrong = [found > 0 for found in margins.values() if len(found) > 2]
        shares = [float(answer[1:-1].mean()) for answer in wrong]
        for k in (1, 3, 8):
            caught = [
                bool(answer[list(indices(seed, len(answer), k))].any()) for answer in wrong for seed in _SEEDS
            ]
            closed = float(np.mean([detection(share, k) for share in shares]))
            found.append(
                Sampled(
                    lane.mode, name, k, len(wrong), float(np.mean(shares)), float(np.mean(caught)), closed
                )
            )
    return found


def _many(lane: Lane) -> list[Many]:
    """Half of the jobs fit the bets, the other half is the node's life."""
    found = []
    for length in (64, 256):
        honest = {case.job: mean_margin(case.margins) for case in _up_to(lane, length)}
        fitting = [value for job, value in honest.items() if job % 2]
        living = [value for job, value in honest.items() if not job % 2]
        bet = fit_bet(fitting)
        suspects = {"honest": living}
        for name, cases in _all_up_to(lane, length):
            suspects[name] = [mean_margin(case.margins) for case in cases if not case.job % 2]
        for name, values in suspects.items():
            if len(values) < 20:
                continue
            draw = np.random.Generator(np.random.Philox(key=length))
            worth = {value: bet.value(value) for value in values}
            ends = [_life(draw.choice(values, _LIFE).tolist(), worth) for _ in range(_LIVES)]
            accused = [end for end in ends if math.isfinite(end)]
            found.append(
                Many(
                    lane.tier,
                    lane.mode,
                    name,
                    length,
                    _LIVES,
                    len(accused),
                    float(np.quantile(ends, 0.5, method="higher")),
                    float(np.quantile(ends, 0.999, method="higher")),
                )
            )
    return found


def _life(statistics: list[float], worth: dict[float, float]) -> float:
    evidence = Evidence()
    for number, statistic in enumerate(statistics, 1):
        evidence = evidence.after(worth[statistic])
        if evidence.alarm(FALSE_ALARMS):
            return number
    return math.inf


def _up_to(lane: Lane, length: int) -> list[Case]:
    return [
        Case(job, lane.answers[job].tokens[:length], lane.answers[job].finish, margins[:length])
        for job, margins in lane.honest.items()
    ]


def _all_up_to(lane: Lane, length: int) -> Iterable[tuple[str, list[Case]]]:
    for name, (answers, found) in lane.impostors.items():
        yield (
            name,
            [
                Case(job, answers[job].tokens[:length], answers[job].finish, margins[:length])
                for job, margins in found.items()
            ],
        )
    for name in ("temperature", "top_p", "greedy_as_sampled"):
        jobs = [job for job, entry in lane.variants.items() if name in entry and job in lane.honest]
        if jobs:
            yield (
                name,
                [
                    Case(job, lane.answers[job].tokens, Finish.CUT, claims.lie(lane, job, name)[:length])
                    for job in jobs
                ],
            )


def _finite(honest: Iterable[Margins]) -> list[Margins]:
    # An honest token off the other machine's nucleus, beyond δ, is a false reject, counted in the table;
    # it is no part of a tail.
    return [np.where(np.isfinite(margins), margins, 0.0) for margins in honest]


def write(name: str, rows: Sequence[object]) -> None:
    """A CSV file; floats in four digits."""
    if not rows:
        return
    names = [field.name for field in fields(rows[0])]  # type: ignore[arg-type]
    with (DATA / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(getattr(row, name)) for name in names])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else value


def read(name: str) -> list[dict[str, str]]:
    """A CSV file's rows; none if it is not there."""
    path: Path = DATA / name
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def _write_calibrations(found: dict[str, Calibration]) -> None:
    @dataclass(frozen=True)
    class Line:
        mode: str
        statistic: str
        value: float

    lines = [Line(mode, key, float(value)) for mode, c in found.items() for key, value in asdict(c).items()]
    write("thresholds.csv", lines)


def _false_rejects(rows: Sequence[Row]) -> list[Result]:
    results = []
    for row in rows:
        longest = row.attack == "honest" and row.length == min(LENGTHS)
        if not longest:
            continue
        whole = whole_honest(row.tier, row.mode)
        assert whole is not None
        bound = upper_bound(whole[0], whole[1])
        note = f"{whole[0]} of {whole[1]} whole answers, {whole[2]} positions; below {bound:.3g} with 95 %"
        results.append(
            Result(
                f"rastic.{row.tier}.false_reject.{row.mode}",
                whole[0] / whole[1],
                "share",
                "target 1e-4",
                note,
            )
        )
    return results


def whole_honest(tier: str, mode: str) -> tuple[int, int, int] | None:
    """How many honest answers are refused, of how many, with how many tokens; None without data."""
    lane = claims.load(tier, mode)
    if not lane.honest:
        return None
    rule = Rule(lane)
    cases = [
        case for length in {len(m) for m in lane.honest.values()} for case in claims.honest(lane, length)
    ]
    cases = [case for case in cases if len(lane.honest[case.job]) == len(case.tokens)]
    refused = sum(rule.verdict(case) is not Action.ACCEPT for case in cases)
    return refused, len(cases), sum(len(case.margins) for case in cases)


def _cost_per_answer() -> list[Result]:
    ratios = [
        float(row["verify_over_generate"])
        for row in read("cost.csv")
        if (row["mode"], row["tokens"]) == ("greedy", "256")
    ]
    note = f"{CHECK_RATE:.0%} of answers of 256 tokens checked, at verify_over_generate.256"
    return [
        Result("rastic.cost_per_answer", CHECK_RATE * ratio, "of generating", "aim: 0.01", note)
        for ratio in ratios
    ]


def _detections(rows: Sequence[Row]) -> list[Result]:
    results = []
    for tier in TIERS:
        for name in claims.NAMES:
            for length in LENGTHS:
                chosen = [r for r in rows if (r.tier, r.attack, r.length) == (tier, name, length)]
                judged = sum(r.claims - r.same for r in chosen)
                if not judged:
                    continue
                refused = sum(r.refused for r in chosen)
                same = sum(r.same for r in chosen)
                note = f"{refused} of {judged} claims refused ({' and '.join(r.mode for r in chosen)})"
                if same:
                    note += f"; {same} more say what an honest node says"
                at_least = f"at least {lower_bound(refused, judged):.4f} with 95 %"
                id_ = f"rastic.{tier}.detect.{name}.{length}"
                results.append(Result(id_, refused / judged, "share", at_least, note))
    return results
