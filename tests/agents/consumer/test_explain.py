"""The drawing of a verdict: bars where the margins are, the threshold's line, the tokens that are off."""

import math

import numpy as np
import pytest

from agents.consumer.explain import WIDTH, explained, furthest_off, plot, refuse_above
from agents.consumer.running import Machine, RunningModel
from agents.protocol.cid import Cid
from agents.protocol.manifest import Manifest, Verification, Weights
from agents.protocol.messages import Completion, Finish, Job
from agents.protocol.sampling import Sampling
from agents.rastic import Claim, Mode, judge
from bench.rastic.impostors import WEIGHTS

NODE = "0x" + "00" * 20


def a_job(prompt):
    return Job(
        collector=NODE, channel=bytes(32), client=NODE, node=NODE, model_id=1, version=0,
        prompt_hash=bytes(32), prompt_tokens=len(prompt), max_tokens=6, secret_hash=bytes(32), seed=0,
        temperature=0, top_p=1_000_000, input_price=0, output_price=0, model_fee=0, ceiling=0, deadline=0,
        bit_class=bytes(32), client_key=bytes(32),
    )  # fmt: skip


VERIFICATION = Verification.model_validate_json("""
{"exact":{"slash_max":20000},
 "tolerant":{"greedy":{"refuse_max":600000,"refuse_mean":50000,"slash_max":3120000,"slash_mean":250000},
             "sampled":{"refuse_max":1200000,"refuse_mean":50000,"slash_max":4970000,"slash_mean":250000}}}
""")


def bars(lines):
    return [line.split("│")[1].split("  refused")[0] for line in lines if "│" in line]


def test_a_bar_stands_where_the_margin_is_and_as_high():
    margins = np.zeros(20)
    margins[[3, 9, 15]] = 0.02, 0.5, math.inf
    drawn = bars(plot(margins, 0.6))
    heights = [sum(row[i] not in " ·" for row in drawn) for i in range(20)]
    assert [i for i, height in enumerate(heights) if height] == [3, 9, 15]
    assert heights[3] < heights[9] < heights[15] == len(drawn)


def test_the_threshold_is_drawn_at_its_height():
    lines = plot(np.zeros(5), 0.6)
    (line,) = [line for line in lines if "refused above" in line]
    assert line.startswith("   0.3 │·····")
    assert line.endswith("refused above 0.6")
    assert not [line for line in plot(np.zeros(5), 0.0) if "refused" in line]


def test_the_tiniest_margin_is_seen():
    margins = np.zeros(9)
    margins[4] = 1e-6
    assert plot(margins, 0.0)[-2].endswith("────.────")


def test_many_tokens_share_columns_and_none_is_lost():
    margins = np.zeros(1_000)
    margins[777] = 2.0
    lines = plot(margins, 0.6)
    assert all(len(row) <= WIDTH for row in bars(lines))
    assert sum(row.count("█") for row in bars(lines)) >= 4
    assert "a column is 13.9 tokens" in lines[-1]
    assert plot(np.zeros(0), 0.6) == ["no tokens"]


def test_the_tokens_that_are_off_are_named_in_order():
    margins = np.array([0.0, 0.25, 0.0, math.inf, 0.5])
    lines = furthest_off([10, 11, 12, 13, 14], margins, lambda t: f"<{t}>", lambda i: f"<{90 + i}>", most=2)
    assert [line.split()[1] for line in lines] == ["3", "4"]
    assert "said '<13>'" in lines[0]
    assert "the model says '<93>'" in lines[0]
    assert "not in the nucleus" in lines[0]
    assert "0.5000 logits below" in lines[1]


def test_a_model_that_would_drive_the_terminal_does_not():
    (line,) = furthest_off([1], np.array([1.0]), lambda _: "\x1b[2Jno\n", lambda _: "\x1b[1m")
    assert "\x1b" not in line
    assert "\n" not in line


@pytest.mark.parametrize(("mode", "greedy", "threshold"), [
    (Mode.EXACT, True, 0.0), (Mode.TOLERANT, True, 0.6), (Mode.TOLERANT, False, 1.2),
])  # fmt: skip
def test_the_threshold_is_that_of_the_tier(mode, greedy, threshold):
    claim = Claim((1,), Finish.CUT, 1, frozenset({2}), greedy)
    assert refuse_above(claim, VERIFICATION, mode) == threshold


def test_an_accepted_answer_needs_no_list():
    claim = Claim((5, 6, 2), Finish.END, 9, frozenset({2}), True)
    margins = np.zeros(3)
    verdict = judge(claim, margins, VERIFICATION, Mode.EXACT)
    lines = explained(claim, verdict, margins, VERIFICATION, str, lambda i: pytest.fail("nothing is off"))
    assert lines[0] == verdict.explain()
    assert not any("token " in line for line in lines[1:])


@pytest.fixture(scope="module")
def model():
    manifest = Manifest(
        format="capek-manifest/1", name="smollm2", licence="Apache-2.0", adapter=None, tokenizer="gguf",
        weights=Weights(cid=str(Cid.of(b"any")), size=1, format="gguf", quantization="Q4_1"),
        chat_template="gguf", end_tokens=(2,), context_length=8192, profile="canonical/1",
        verification=VERIFICATION, bit_classes=(),
    )  # fmt: skip
    with RunningModel(manifest, WEIGHTS, Machine(threads=1)) as running:
        yield running


@pytest.mark.parametrize("changed", [5_371, 60_000], ids=["another word", "outside the vocabulary"])
def test_a_real_check_names_the_token_and_what_the_model_would_have_said(model, changed):
    prompt = model.tokenizer.tokenize_chat([{"role": "user", "content": "What is the capital of France?"}])
    job = a_job(prompt)
    said = list(model._loaded(len(prompt) + 6).generate(prompt, 6, Sampling.of(job), ()).result().tokens)
    wrong = [*said[:3], changed, *said[4:]]
    found = model.examine(
        job, prompt, Completion(bytes(32), NODE, bytes(32), 6, int(Finish.LENGTH), 0, NODE), wrong
    )
    assert found.verdict.failure.position == 3
    lines = explained(
        found.claim, found.verdict, found.margins, VERIFICATION, model.text_of,
        lambda place: model.own_choice(job, prompt, wrong, place),
    )  # fmt: skip
    (line,) = [line for line in lines if line.startswith("token    3")]
    assert f"said {model.text_of(changed)!r}"[:12] in line
    assert f"the model says {model.text_of(said[3])!r}"[:20] in line
