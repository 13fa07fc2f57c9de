"""Fingerprints of hidden states: small, near for the same, far for others, useless with another seed."""

import numpy as np
import pytest

from agents.rastic.fingerprint import DIRECTIONS, BadFingerprint, distance, encode

SEED = bytes(range(32))


@pytest.fixture(scope="module")
def states():
    return np.random.default_rng(1).standard_normal((40, 576), dtype=np.float32)


def noisy(states, share):
    """The same, each vector moved by `share` of its length."""
    noise = np.random.default_rng(2).standard_normal(states.shape)
    lengths = np.linalg.norm(states, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return states + share * noise * lengths


def test_256_bytes_for_32_tokens_tell_how_far_apart_states_are(states):
    fingerprint = encode(states, SEED)
    assert len(fingerprint) == 40 * DIRECTIONS == 320
    assert distance(fingerprint, states, SEED) < 0.02  # rounding to a byte
    found = [distance(fingerprint, noisy(states, share), SEED) for share in (0.03, 0.05, 0.1)]
    assert found == sorted(found)
    assert all(abs(f - share) < 0.4 * share for f, share in zip(found, (0.03, 0.05, 0.1), strict=True))
    assert distance(fingerprint, states[::-1], SEED) > 1


def test_the_length_of_a_state_does_not_matter_and_the_seed_does(states):
    assert encode(states * 7, SEED) == encode(states, SEED)
    assert distance(encode(states, bytes(32)), states, SEED) > 1


def test_what_does_not_fit_is_refused(states):
    with pytest.raises(BadFingerprint, match="39 tokens"):
        distance(encode(states, SEED), states[:39], SEED)
    for broken in (states[0], states[:0], np.zeros((2, 8)), np.full((2, 8), np.nan)):
        with pytest.raises(ValueError, match="hidden states"):
            encode(broken, SEED)
