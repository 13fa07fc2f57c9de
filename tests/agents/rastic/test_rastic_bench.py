"""The measurement's own arithmetic: what is packed comes back, half lines are passed over, tables count."""

from xml.etree import ElementTree

import numpy as np
import pytest

from agents.protocol.messages import Finish
from bench.rastic import claims, figures, report, store, table
from bench.rastic.store import Answer

DRAW = np.random.Generator(np.random.Philox(key=21))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "DATA", tmp_path)
    monkeypatch.setattr(table, "DATA", tmp_path)
    return tmp_path


def test_margins_survive_packing_with_three_digits():
    found = np.array([0.0, 1e-9, 0.0123456, 2.71828, 31.4159, 987.6, np.inf])
    again = store.unpack_margins(store.pack_margins(found))
    assert again[0] == 0
    assert again[1] > 0  # still proof in the exact tier
    assert np.isinf(again[-1])
    assert again[2:6] == pytest.approx(found[2:6], rel=0.006)


def test_answers_survive_and_half_a_line_is_passed_over(data):
    path = store.answers_file("honest", "greedy")
    answers = [Answer(3, (5, 49_151, 2), Finish.END), Answer(4, (7,) * 256, Finish.LENGTH)]
    for answer in answers:
        store.save_answer(path, answer)
    with path.open("a") as file:
        file.write('{"job":5,"fin')
    assert store.load_answers(path) == {3: answers[0], 4: answers[1]}


def test_the_auc_counts_ties_half():
    assert table.auc(np.array([1.0, 2.0]), np.array([3.0])) == 1
    assert table.auc(np.array([1.0, 2.0]), np.array([2.0])) == 0.75
    assert table.auc(np.zeros(5), np.zeros(5)) == 0.5


def lay_out(tier, mode, jobs, spread):
    """Honest answers and an impostor's, with margins as they are found on real weights, but drawn."""
    for job in range(jobs):
        size = 64 + job % 3
        tokens = tuple(range(10, 10 + size))
        answer = Answer(job, tokens, Finish.LENGTH)
        store.save_answer(store.answers_file("honest", mode), answer)
        honest = np.where(DRAW.random(size) < 0.03, DRAW.exponential(spread, size), 0.0)
        store.append(
            store.margins_file(tier, "honest", mode), {"job": job, "margins": store.pack_margins(honest)}
        )
        impostor = np.where(DRAW.random(size) < 0.3, DRAW.exponential(0.5, size), 0.0)
        same = job < 5
        said = tokens if same else (9, *tokens[1:])
        store.save_answer(store.answers_file("q4_0", mode), Answer(job, said, Finish.LENGTH))
        store.append(
            store.margins_file(tier, "q4_0", mode),
            {"job": job, "margins": store.pack_margins(honest if same else impostor)},
        )
        entry = {
            "job": job,
            "forged_end": {"8": 12.0, "16": 1e9},
            "steered_first": 0.001,
            "changed_middle": {"8": store.pack_margins([20.0, 3.0])},
            "top_p": store.pack_margins(np.zeros(size)),
        }
        store.append(store.margins_file(tier, "variants", mode), entry)


def test_tables_from_drawn_margins(data, monkeypatch):
    recorded = []
    monkeypatch.setattr(table, "record", recorded.extend)
    lay_out("tolerant", "greedy", 120, 0.08)
    lay_out("exact", "greedy", 120, 0.0)
    table.measure()
    rows = {(r["tier"], r["attack"], int(r["length"])): r for r in table.read("table.csv")}
    assert rows["tolerant", "honest", 64]["refused"] == "0"
    q4 = rows["tolerant", "q4_0", 64]
    assert (q4["claims"], q4["same"]) == ("120", "5")
    assert float(q4["detected"]) > 0.95
    assert float(q4["at_least"]) < float(q4["detected"])
    assert rows["exact", "q4_0", 64]["detected"] == "1"
    assert rows["exact", "forged_end", 16]["slashed"] == "120"
    assert rows["exact", "steered_first", 8]["refused"] == "120"  # the tiniest margin is seen here,
    assert float(rows["tolerant", "steered_first", 8]["detected"]) < 0.05  # and passes there
    assert rows["exact", "top_p", 8]["same"] == "120"  # a lie that changed no token
    assert rows["exact", "tail_cut", 64]["slashed"] == "80"  # those of 64 tokens were whole
    ids = {result.id: result.value for result in recorded}
    assert ids["rastic.exact.false_reject.greedy"] == 0
    assert ids["rastic.exact.detect.changed_middle.8"] == 1
    many = {(r["attack"], r["length"]): r for r in table.read("sequential.csv")}
    assert int(many["honest", "64"]["accused"]) <= 2
    assert int(many["q4_0", "64"]["accused"]) == 400
    tokens = {(r["tier"], r["attack"]): r for r in table.read("tokens.csv")}
    assert 1 <= int(tokens["exact", "q4_0"]["percent_99"]) < 30


def test_a_claim_is_the_honest_answer_but_for_what_was_changed(data):
    lay_out("exact", "greedy", 3, 0.0)
    lane = claims.load("exact", "greedy")
    cases = dict(claims.attacks(lane, 8))
    case = cases["changed_middle"][0]
    assert case.margins[4] == pytest.approx(20.0)
    assert np.flatnonzero(case.margins).tolist() == [4, 5]
    assert cases["forged_end"][0].tokens[-1] == claims.END
    assert cases["forged_end"][0].finish is Finish.END


def test_tables_replace_what_stands_between_their_markers():
    text = "a\n<!-- cost -->\nold\n<!-- /cost -->\nb\n<!-- other -->\nkept\n<!-- /other -->\n"
    new = report.fill(text, "cost", "| 1 |")
    assert new == text.replace("old", "| 1 |")
    assert report.fill(new, "cost", "| 1 |") == new
    with pytest.raises(ValueError, match="markers of tokens"):
        report.fill(text, "tokens", "")


def test_the_paper_has_a_place_for_every_table():
    text = report.PAPER.read_text()
    for name in report._PARTS:
        report.fill(text, name, "")


def test_a_figure_holds_every_line_within_its_frame():
    lines = [("one", [(1.0, 0.001), (10.0, 1.0)]), ("<two>", [(3.0, 0.01)])]
    picture = figures.plot("t", "x", "y", lines, log_x=True, log_y=True)
    root = ElementTree.fromstring(picture)
    paths = [e.attrib["d"] for e in root.iter() if e.attrib.get("stroke-width") == "2"]
    points = [tuple(map(float, p.split())) for path in paths for p in path[1:].split("L")]
    assert len(points) == 3
    assert all(0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT for x, y in points)
