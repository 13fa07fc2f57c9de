"""What `publish` writes for a model nobody calibrated, against the honest answers that were measured."""

import numpy as np

from agents.rastic.calibration import worst_mean
from agents.trainer.publish import RULES
from bench.rastic import claims, table


def test_no_measured_honest_answer_is_near_the_default_slash_thresholds_and_none_refused():
    for mode, tier in [("greedy", RULES.tolerant.greedy), ("t08", RULES.tolerant.sampled)]:
        lane = claims.load("tolerant", mode)
        assert len(lane.honest) >= 300
        # a calibration's thresholds are a hair above the largest value seen
        largest = max(float(found.max()) for found in lane.honest.values())
        mean = max(worst_mean(np.asarray(found)) for found in lane.honest.values())
        assert largest * 1e6 <= tier.refuse_max
        assert mean * 1e6 <= tier.refuse_mean
        assert 2 * largest * 1e6 <= tier.slash_max
        assert 2 * mean * 1e6 <= tier.slash_mean


def test_the_defaults_are_what_the_calibration_on_disk_says():
    rows = {(row["mode"], row["statistic"]): float(row["value"]) for row in table.read("thresholds.csv")}
    for mode, tier in [("greedy", RULES.tolerant.greedy), ("t08", RULES.tolerant.sampled)]:
        for statistic in ("refuse_max", "refuse_mean", "slash_max"):
            found, wanted = getattr(tier, statistic), rows[mode, statistic] * 1e6
            assert abs(found - wanted) <= 0.01 * wanted, (mode, statistic)
