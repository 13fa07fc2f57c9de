"""A second implementation of docs/protocol.md section 4: plain integers and `math`, no numpy.

`python tests/agents/protocol/sampling_reference.py` writes tests/vectors/sampling.json anew.
"""

import hashlib
import json
import math
import struct
import sys
from itertools import count, islice
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "vectors" / "sampling.json"
MASK = (1 << 64) - 1


def philox(key: tuple[int, int]):
    """Philox-4x64-10's outputs, blocks from counter 1 (Salmon et al. 2011)."""
    for block in count(1):
        c, k = [block, 0, 0, 0], list(key)
        for _ in range(10):
            p0, p1 = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
            c = [(p1 >> 64) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 64) ^ c[3] ^ k[1], p0 & MASK]
            k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
        yield from c


def bits(seed: int, node: bytes, position: int, size: int) -> list[int]:
    digest = hashlib.blake2b(struct.pack(">Q20sI", seed, node, position), digest_size=16).digest()
    return list(islice(philox(struct.unpack("<QQ", digest)), size))


def gumbel(seed: int, node: bytes, position: int, size: int) -> list[float]:
    us = (((r >> 12) + 0.5) * 2.0**-52 for r in bits(seed, node, position, size))
    return [round(-math.log(-math.log(u)) * 2**20) / 2**20 + 0.0 for u in us]


def ranked(logits: list[float]) -> list[tuple[int, int, int]]:
    """(token, above, total) from the best down."""
    top = max(logits)
    weights = [math.floor(math.exp(x - top) * 2**40) for x in logits]
    total, above, out = sum(weights), 0, []
    for token in sorted(range(len(logits)), key=lambda t: (-logits[t], t)):
        out.append((token, above, total))
        above += weights[token]
    return out


def nucleus(logits: list[float], temperature: int, mass: int, top_p: int) -> set[int]:
    if temperature == 0 or top_p >= 10**6 or mass >= 10**6:
        return set(range(len(logits)))
    return {t for t, above, total in ranked(logits) if above * 10**6 < max(mass, 1) * total}


def scores(logits: list[float], case: dict[str, Any]) -> list[float]:
    if case["temperature"] == 0:
        return logits
    g = gumbel(case["seed"], bytes.fromhex(case["node"][2:]), case["position"], len(logits))
    return [x + case["temperature"] / 10**6 * n for x, n in zip(logits, g, strict=True)]


def choose(logits: list[float], case: dict[str, Any]) -> int:
    s = scores(logits, case)
    return min(nucleus(logits, case["temperature"], case["top_p"], case["top_p"]), key=lambda t: (-s[t], t))


def margin(logits: list[float], token: int, case: dict[str, Any]) -> float:
    s, delta = scores(logits, case), case["tolerance"]
    members = nucleus(logits, case["temperature"], case["top_p"] + delta, case["top_p"])
    inner = nucleus(logits, case["temperature"], case["top_p"] - delta, case["top_p"])
    return max(0.0, max(s[t] for t in inner) - s[token]) if token in members else math.inf


def large_logits(size: int = 49_152) -> list[float]:
    """Logits on a grid of 2^-16 below 16, which float32 holds: r >> 44 of seed 7, node 0, position 0."""
    return [(r >> 44) / 2**16 for r in bits(7, bytes(20), 0, size)]


def sha256(form: str, values: list[Any]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(values)}{form}", *values)).hexdigest()


def build() -> dict[str, Any]:
    node = "0x" + bytes(range(1, 21)).hex()
    draws = []
    for seed, address, position, size in [
        (1, "0x" + "00" * 19 + "01", 1, 16),
        ((1 << 64) - 1, node, (1 << 32) - 1, 16),
        (1, "0x" + "00" * 19 + "01", 1, 49_152),
    ]:
        args = (seed, bytes.fromhex(address[2:]), position, size)
        draws.append(
            {
                "seed": str(seed), "node": address, "position": position, "size": size,
                "bits_sha256": sha256("Q", bits(*args)), "noise_sha256": sha256("d", gumbel(*args)),
                "noise_x_2_20": [int(g * 2**20) for g in gumbel(*args)[:16]],
            }
        )  # fmt: skip
    small = [2.5, 1.0, 1.0, -3.0, 0.25, 2.5, -40.0, 1.75, 0.0, -0.5, 2.0, 1.0, -7.0, 0.125, 1.5, -1.25]
    settings = [(0, 10**6), (800_000, 950_000), (800_000, 10**6), (50_000, 500_000)]
    settings += [(1_500_000, 1), (10**6, 999_999)]
    choices = []
    for temperature, top_p in settings:
        for tolerance in (0, 20_000):
            for position in (0, 46):
                case = {
                    "seed": 99, "node": node, "position": position,
                    "temperature": temperature, "top_p": top_p, "tolerance": tolerance,
                }  # fmt: skip
                margins = [margin(small, t, case) for t in range(len(small))]
                case["token"] = choose(small, case)
                case["margins"] = [None if math.isinf(m) else m for m in margins]
                choices.append(case)
    large = large_logits()
    many = []
    for temperature, top_p in settings:
        case = {
            "seed": 5, "node": node, "position": 1000,
            "temperature": temperature, "top_p": top_p, "tolerance": 0,
        }  # fmt: skip
        members = nucleus(large, temperature, top_p, top_p)
        case["nucleus_size"] = len(members)
        case["token"] = choose(large, case)
        many.append(case)
    return {
        "noise": draws,
        "small": {"logits": small, "cases": choices},
        "large": {"logits_sha256": sha256("f", large), "cases": many},
    }


if __name__ == "__main__":
    text = json.dumps(build(), indent=1)
    VECTORS.write_text(text + "\n")
    print(f"wrote {VECTORS}: {len(text)} bytes", file=sys.stderr)
