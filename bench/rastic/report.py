"""Put the measured tables into docs/rastic.md, between its markers, so that text and data can't part.

python -m bench.rastic.report
"""

import re
from collections.abc import Callable
from pathlib import Path

from agents.rastic.binomial import upper_bound
from bench.rastic import claims, table
from bench.rastic.prompts import MODES
from bench.rastic.score import LENGTHS, TIERS

PAPER = Path(__file__).parent.parent.parent / "docs" / "rastic.md"

LABELS = {
    "tail_cut": "tail cut, sold as whole",
    "forged_end": "stopped early, end token forged",
    "changed_first": "first token changed at random",
    "changed_middle": "a middle token changed at random",
    "changed_last": "last token changed at random",
    "steered_first": "first token steered",
    "steered_middle": "a middle token steered",
    "steered_last": "last token steered",
    "other_prompt": "half of the last message left out",
    "copied": "answer to another job",
    "other_seed": "another seed",
    "other_node": "another node's seed",
    "temperature": "T = 1 sold, .8 used",
    "top_p": "top-p .85 sold, .95 used",
    "greedy_as_sampled": "greedy sold as sampled",
    "sampled_as_greedy": "sampled sold as greedy",
    "q4_0": "Q4_0, one step lower",
    "q3_k_m": "Q3_K_M, as llama.cpp makes it",
    "q2_k": "Q2_K, as llama.cpp makes it",
    "q8_0": "Q8_0, requantized: one step higher",
    "lora": "a LoRA slipped in",
    "pruned": "another model: 4 of 30 layers left out",
    "speculative": "that model writes, every 4th token true",
    "repetition": "honest for 16 tokens, then repeating",
}
_JUDGES = {
    "class-zen4": "AVX-512",
    "class-haswell": "AVX2",
    "class-sse42": "SSE4.2",
    "tolerant": "f16 cache, plain attention",
}
_WAYS = {"greedy": "greedy", "t08": "sampled"}

Rows = list[dict[str, str]]


def main() -> None:
    """Fill in whatever there is data for."""
    text = PAPER.read_text()
    for name, make in _PARTS.items():
        text = fill(text, name, make())
    PAPER.write_text(text)
    print(PAPER.name)


def fill(text: str, name: str, content: str) -> str:
    """The text with what stands between `<!-- name -->` and `<!-- /name -->` replaced.

    Raises:
        ValueError: the markers are not there.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the markers of {name} are missing")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def honest() -> str:
    """False rejects."""
    lines = ["| | answers | tokens | refused | less than, with 95 % |", "|---|---|---|---|---|"]
    for tier in TIERS:
        for mode in MODES:
            found = table.whole_honest(tier, mode)
            if found is None:
                continue
            refused, answers, tokens = found
            lines.append(
                f"| {tier}, {_WAYS[mode]} | {answers} | {tokens:,} | {refused} | "
                f"{100 * upper_bound(refused, answers):.1f} % of answers |"
            )
    return "\n".join(lines)


def classes() -> str:
    """Honest answers read on other machines."""
    lines = [
        "| judge | answers | positions | with a margin | largest | largest mean | refused |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.read("classes.csv"):
        figures = (
            f"{100 * float(row['differing']):.1f} % | {float(row['largest']):.2f} | {float(row['mean']):.3f}"
        )
        lines.append(
            f"| {_JUDGES[row['judge']]}, {_WAYS[row['mode']]} | {row['answers']} | "
            f"{int(row['positions']):,} | {figures} | {row['refused']} |"
        )
    return "\n".join(lines)


def thresholds() -> str:
    """What a calibration on all honest answers gives."""
    rows = {(row["mode"], row["statistic"]): float(row["value"]) for row in table.read("thresholds.csv")}
    lines = ["| | refuse: largest | refuse: mean | slash: largest | slash: mean |", "|---|---|---|---|---|"]
    for mode in MODES:
        if (mode, "refuse_max") in rows:
            keys = ("refuse_max", "refuse_mean", "slash_max", "slash_mean")
            lines.append(f"| {_WAYS[mode]} | " + " | ".join(f"{rows[mode, key]:.3f}" for key in keys) + " |")
    return "\n".join(lines)


def attacks() -> str:
    """The attack table, both ways of sampling together."""
    rows = table.read("table.csv")
    lines = [
        "| attack | exact | tolerant: 8 tokens | 16 | 64 | 256 | AUC, 64 tokens |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in LABELS:
        assert name in claims.NAMES
        tolerant = [_share(*_counts(rows, "tolerant", name, (length,))) for length in LENGTHS]
        exact = _share(*_counts(rows, "exact", name, LENGTHS))
        if {exact, *tolerant} != {"–"}:
            lines.append(f"| {LABELS[name]} | {exact} | {' | '.join(tolerant)} | {_auc(rows, name)} |")
    return "\n".join(lines)


def evidence() -> str:
    """Answers until the sequential test accuses, greedy / sampled."""
    rows = [row for row in table.read("sequential.csv") if row["length"] == "64"]
    lines = ["| what the node does | median | 99.9 % |", "|---|---|---|"]
    for name in ("honest", *LABELS):
        found = _by_mode(rows, name)
        if any(found):
            cells = [" / ".join(_answers(row, key) for row in found) for key in ("half", "percent_999")]
            lines.append(f"| {LABELS.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def activations() -> str:
    """What fingerprints of hidden states tell."""
    lines = [
        "| judge | sold as Q4_1 | tokens | answers | AUC, whole states | AUC, fingerprint |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.read("activations.csv"):
        figures = " | ".join(f"{float(row[key]):.3f}" for key in ("auc_states", "auc_fingerprint"))
        name = row["impostor"].upper()
        lines.append(f"| {row['judge']} | {name} | {row['tokens']} | {row['answers']} | {figures} |")
    return "\n".join(lines)


def cost() -> str:
    """Ratios of CPU time."""
    lines = [
        "| output tokens | verify ÷ generate | verify ÷ floor | paper, k = 3 ÷ generate |",
        "|---|---|---|---|",
    ]
    keys = ("verify_over_generate", "verify_over_floor", "paper_over_generate")
    for row in table.read("cost.csv"):
        figures = " | ".join(f"{float(row[key]):.2f}" for key in keys)
        way = "" if row["mode"] == "greedy" else ", sampled"
        lines.append(f"| {row['tokens']}{way} | {figures} |")
    return "\n".join(lines)


def tokens() -> str:
    """How many tokens until nearly all are caught, greedy / sampled."""
    lines = [
        "| attack | exact: half | 99.9 % | tolerant: half | 99 % | 99.9 % | tokens read |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = table.read("tokens.csv")
    for name in LABELS:
        exact, tolerant = (
            _by_mode([row for row in rows if row["tier"] == tier], name) for tier in ("exact", "tolerant")
        )
        if not any(exact) and not any(tolerant):
            continue
        cells = [
            " / ".join("–" if row is None else row[key] or "no" for row in found)
            for found, key in [
                *((exact, key) for key in ("half", "percent_999")),
                *((tolerant, key) for key in ("half", "percent_99", "percent_999")),
            ]
        ]
        most = max(int(row["most"]) for row in (*exact, *tolerant) if row)
        lines.append(f"| {LABELS[name]} | {' | '.join(cells)} | {most} |")
    return "\n".join(lines)


def sampled() -> str:
    """The paper's mode against its closed form, greedy and sampled answers in the order of modes."""
    lines = ["| attack | wrong positions, % | k = 1 | k = 3 | k = 8 |", "|---|---|---|---|---|"]
    rows = table.read("sampled.csv")
    for name in LABELS:
        by_k = [_by_mode([row for row in rows if row["k"] == k], name) for k in ("1", "3", "8")]
        if not any(by_k[0]):
            continue
        wrong = " / ".join("–" if row is None else f"{100 * float(row['wrong']):.0f}" for row in by_k[0])
        cells = [" / ".join(_measured(row) for row in found) for found in by_k]
        lines.append(f"| {LABELS[name]} | {wrong} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row: dict[str, str] | None) -> str:
    if row is None:
        return "–"
    return f"{100 * float(row['measured']):.0f} ({100 * float(row['closed_form']):.0f})"


def _by_mode(rows: Rows, name: str) -> list[dict[str, str] | None]:
    found = {row["mode"]: row for row in rows if row["attack"] == name}
    return [found.get(mode) for mode in MODES]


def _answers(row: dict[str, str] | None, key: str) -> str:
    if row is None:
        return "–"
    return "never" if row[key] == "inf" else str(int(float(row[key])))


def _counts(rows: Rows, tier: str, name: str, lengths: tuple[int, ...]) -> tuple[int, int]:
    chosen = [
        row for row in rows if (row["tier"], row["attack"]) == (tier, name) and int(row["length"]) in lengths
    ]
    judged = sum(int(row["claims"]) - int(row["same"]) for row in chosen)
    return sum(int(row["refused"]) for row in chosen), judged


def _share(refused: int, judged: int) -> str:
    if not judged:
        return "–"
    if refused == judged:
        return f"all {judged}"
    share = 100 * refused / judged
    return f"{share:.1f} % of {judged}" if share > 99 else f"{share:.0f} % of {judged}"


def _auc(rows: Rows, name: str) -> str:
    if name == "tail_cut":
        return "–"
    key = ("tolerant", name, "64")
    chosen = [row["auc"] for row in rows if (row["tier"], row["attack"], row["length"]) == key and row["auc"]]
    return " / ".join(f"{float(auc):.3f}" for auc in chosen) or "–"


_PARTS: dict[str, Callable[[], str]] = {
    "honest": honest,
    "classes": classes,
    "thresholds": thresholds,
    "attacks": attacks,
    "tokens": tokens,
    "evidence": evidence,
    "activations": activations,
    "cost": cost,
    "sampled": sampled,
}


if __name__ == "__main__":
    main()
