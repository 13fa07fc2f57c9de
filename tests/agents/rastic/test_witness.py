"""Packing witnesses and who of the voters agrees; the contract's tests hold the same cases."""

import pytest

from agents.engine import NO_LOGITS as ENGINE_NO_LOGITS
from agents.rastic.witness import NO_LOGITS, agreement, pack, unpack

IDS = (1, 2, 3, 49_151, 0, NO_LOGITS, 7, 0x01020304)


def witness(*wrong: int) -> bytes:
    """A good witness but for these lanes, each wrong in its own way."""
    return pack([1_000 + 17 * len(wrong) + i if i in wrong else token for i, token in enumerate(IDS)])


def test_the_first_position_is_in_the_highest_bits():
    packed = pack(IDS)
    assert packed[:4] + packed[-4:] == bytes([0, 0, 0, 1, 1, 2, 3, 4])
    assert len(packed) == 32
    assert unpack(packed) == IDS
    assert ENGINE_NO_LOGITS == NO_LOGITS


@pytest.mark.parametrize("ids", [IDS[:7], (*IDS, 1), (*IDS[:7], -1), (*IDS[:7], 1 << 32)])
def test_what_does_not_fit_is_refused(ids):
    with pytest.raises(ValueError, match="witness"):
        pack(ids)


def test_one_alone_agrees_with_nobody():
    assert agreement([witness()]) == (False,)
    assert agreement([]) == ()


def test_two_must_say_the_same():
    assert agreement([witness(), witness()]) == (True, True)
    assert agreement([witness(), witness(0, 1)]) == (True, True)
    assert agreement([witness(), witness(0, 1, 2)]) == (False, False)


def test_six_of_eight_against_the_majority_of_each_lane():
    assert agreement([witness(), witness(), witness(0, 1)]) == (True, True, True)
    assert agreement([witness(), witness(), witness(0, 1, 2)]) == (True, True, False)
    assert agreement([witness(0, 1), witness(2, 3, 4), witness()]) == (True, False, True)


def test_a_lazy_majority_of_noise_agrees_with_nobody():
    noise = [pack([i * 8 + j for j in range(8)]) for i in range(3)]
    assert agreement([*noise, witness()]) == (False, False, False, False)
