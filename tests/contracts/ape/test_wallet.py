"""A consumer's money: in with one transaction, out whenever it likes, and spent by signature alone."""

import ape
from conftest import DOLLAR

from agents.protocol.messages import Payment, as_tuple, sign


def test_deposit_with_a_permit(market, permit, chain):
    client = market.people.client
    before, held = market.vault.balanceOf(client), market.token.balanceOf(market.vault)
    market.token.faucet(client, 5 * DOLLAR, sender=client)
    deadline = chain.pending_timestamp + 600
    v, r, s = permit(client, 5 * DOLLAR, deadline)
    market.vault.depositWithPermit(client, 5 * DOLLAR, deadline, v, r, s, sender=client)
    assert market.vault.balanceOf(client) == before + 5 * DOLLAR
    assert market.token.balanceOf(market.vault) == held + 5 * DOLLAR


def test_withdraw_to_another_wallet(market, fund):
    saver, stranger = market.people.saver, market.people.stranger
    fund(saver, 3 * DOLLAR)
    receipt = market.vault.withdraw(stranger, 2 * DOLLAR, sender=saver)
    (event,) = receipt.events.filter(market.vault.Withdrawn)
    assert (event.account, event.to, event.amount) == (saver, stranger, 2 * DOLLAR)
    assert market.token.balanceOf(stranger) == 2 * DOLLAR
    with ape.reverts(
        market.vault.InsufficientBalance, account=saver.address, balance=DOLLAR, needed=2 * DOLLAR
    ):
        market.vault.withdraw(stranger, 2 * DOLLAR, sender=saver)


def test_somebody_else_sends_a_signed_payment(market, fund, chain):
    client, payee, relayer = market.people.client, market.people.payee, market.people.stranger
    fund(client, 3 * DOLLAR)
    payment = Payment(client.address, payee.address, DOLLAR, b"", 1, chain.pending_timestamp + 60)
    signature = sign(market.domain, payment, bytes.fromhex(client.private_key.removeprefix("0x")))
    market.vault.paySigned(as_tuple(payment), signature, sender=relayer)
    assert market.vault.balanceOf(payee) == DOLLAR
    with ape.reverts(market.vault.NonceUsed):
        market.vault.paySigned(as_tuple(payment), signature, sender=relayer)


def test_a_payment_can_be_taken_back_before_it_is_sent(market, fund, chain):
    client, payee = market.people.client, market.people.payee
    fund(client, 3 * DOLLAR)
    before = market.vault.balanceOf(client)
    payment = Payment(client.address, payee.address, DOLLAR, b"", 2, chain.pending_timestamp + 60)
    signature = sign(market.domain, payment, bytes.fromhex(client.private_key.removeprefix("0x")))
    market.vault.cancelPayment(2, sender=client)
    with ape.reverts(market.vault.NonceUsed):
        market.vault.paySigned(as_tuple(payment), signature, sender=payee)
    assert market.vault.balanceOf(client) == before
