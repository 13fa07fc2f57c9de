"""Preferences count only when they prove two answers to one prompt, paid by whoever judges."""

import dataclasses
import json

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak

from agents.protocol import merkle, preferences
from agents.protocol.manifest import canonical_json
from agents.protocol.messages import Completion, Domain, Job, sign, struct_hash, typed_data
from agents.protocol.preferences import BadPreference, Preference, check, load, prefer, root, to_bytes
from agents.protocol.tokens import OUTPUT, PROMPT, masked_hash

DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
CLIENT, OTHER, NODE, OPERATOR = (Account.from_key(bytes([n]) * 32) for n in range(1, 5))
KEY = bytes(CLIENT.key)
PROMPTS = (5, 6, 7)
ZERO = "0x" + "0" * 40


def answer(output=(8, 9), *, seed=1, client=CLIENT, prompt=PROMPTS, model=7, signer=OPERATOR):
    secret = keccak(bytes([seed]))
    job = Job(
        collector=ZERO,
        channel=bytes(32),
        client=client.address,
        node=NODE.address,
        model_id=model,
        version=0,
        prompt_hash=masked_hash(secret, PROMPT, prompt),
        prompt_tokens=len(prompt),
        max_tokens=16,
        secret_hash=keccak(secret),
        seed=seed,
        temperature=0,
        top_p=1_000_000,
        input_price=1,
        output_price=1,
        model_fee=1,
        ceiling=100,
        deadline=1,
        bit_class=bytes(32),
        client_key=bytes(32),
    )
    completion = Completion(
        struct_hash(job), NODE.address, masked_hash(secret, OUTPUT, output), len(output), 0, 5, NODE.address
    )
    return preferences.Answer(
        job, completion, sign(DOMAIN, completion, bytes(signer.key)), secret, tuple(output)
    )


ONE, TWO = answer(seed=1), answer((10, 11, 12), seed=2)


def record(first=ONE, second=TWO, better=1, key=KEY):
    return prefer(DOMAIN, key, PROMPTS, first, second, better, 99)


def operators(node):
    return frozenset({OPERATOR.address}) if node == NODE.address else frozenset()


def test_a_preference_says_which_answer_is_better():
    found = record()
    assert (found.better, found.worse) == (TWO, ONE)
    assert record(better=0).better == ONE
    check(found, DOMAIN, operators)


def test_a_wallet_signs_the_same_bytes():
    said = record()
    data = encode_typed_data(full_message=typed_data(DOMAIN, said.preference))
    assert CLIENT.sign_message(data).signature == said.signature


def test_a_batch_survives_its_bytes_and_keeps_its_order():
    records = [record(), record(TWO, ONE)]
    data = to_bytes(records)
    assert load(data, root(records)) == records
    assert root(records) != root(records[::-1])
    leaves = merkle.leaves([r.digest() for r in records])
    assert merkle.verifies(leaves[1], merkle.proof(leaves, 1), root(records))
    with pytest.raises(BadPreference, match="the batch's root is"):
        load(data, bytes(32))
    assert load(to_bytes([]), root([])) == []


def forged(said, **changes):
    """A record whose preference was changed and signed again by its client."""
    preference = dataclasses.replace(said.preference, **changes)
    return dataclasses.replace(said, preference=preference, signature=sign(DOMAIN, preference, KEY))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (lambda: forged(record(), better=2), "better is 2"),
        (lambda: record(ONE, ONE), "the same completion"),
        (lambda: record(answer(seed=3), answer(seed=4)), "say the same"),
        (lambda: record(key=bytes(OTHER.key)), "not by its client"),
        (lambda: record(second=answer((1,), seed=3, client=OTHER)), "not by the client who judges"),
        (lambda: record(second=answer((1,), seed=3, model=8)), "by model 8"),
        (lambda: record(second=answer((1,), seed=3, prompt=(1, 2, 3))), "the prompt is not"),
        (lambda: dataclasses.replace(record(), signature=bytes(65)), "signature is none"),
        (lambda: dataclasses.replace(record(), prompt=(5, 6)), "the job names 3"),
        (lambda: dataclasses.replace(record(), first=TWO), "not the one that was judged"),
        (lambda: forged(record(), model_id=9), "not by 9"),
        (lambda: record(dataclasses.replace(ONE, output=(8, 8))), "not the one the node committed to"),
        (lambda: record(dataclasses.replace(ONE, secret=bytes(32))), "secret"),
        (lambda: record(dataclasses.replace(ONE, job=answer(seed=9).job)), "another job"),
    ],
)
def test_what_proves_less_counts_for_nothing(bad, why):
    with pytest.raises(BadPreference, match=why):
        check(bad(), DOMAIN)


def test_an_answer_by_somebody_who_is_not_the_node_counts_for_nothing():
    said = record(second=answer((1,), seed=3, signer=OTHER))
    check(said, DOMAIN)
    with pytest.raises(BadPreference, match="the second answer is signed by"):
        check(said, DOMAIN, operators)


def test_a_preference_of_another_deployment_counts_for_nothing():
    with pytest.raises(BadPreference, match="not by its client"):
        check(record(), Domain(1, DOMAIN.vault))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(format="capek-preferences/2"),
        lambda v: v.update(more=1),
        lambda v: v.update(records={}),
        lambda v: v["records"].append(3),
        lambda v: v["records"][0].update(more=1),
        lambda v: v["records"][0].pop("prompt"),
        lambda v: v["records"][0].update(prompt="0x000000"),
        lambda v: v["records"][0].update(prompt="0xZZ"),
        lambda v: v["records"][0].update(prompt=5),
        lambda v: v["records"][0]["first"].update(job=None),
        lambda v: v["records"][0]["preference"].update(better=256),
        lambda v: v["records"][0]["preference"].update(client="0x00"),
    ],
)
def test_a_damaged_batch_is_refused(change):
    value = json.loads(to_bytes([record()]))
    change(value)
    with pytest.raises(BadPreference):
        load(canonical_json(value))


def test_what_is_no_json_is_refused():
    for data in (b"", b"{", b"[]", b'{"format": 1}', b"\xff"):
        with pytest.raises(BadPreference):
            load(data)


def test_a_batch_is_bounded(monkeypatch):
    monkeypatch.setattr(preferences, "MAX_RECORDS", 1)
    with pytest.raises(BadPreference, match="make two"):
        to_bytes([record(), record()])


def test_the_type_is_fixed():
    from agents.protocol.messages import type_string

    assert type_string(Preference) == (
        "Preference(address client,uint64 modelId,bytes32 first,bytes32 second,uint8 better,uint64 givenAt)"
    )
