// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IVault, Payment, Job, Status} from "../Base.t.sol";
import {Receiver} from "../doubles/Receivers.sol";
import {ContractWallet} from "../doubles/ContractWallet.sol";

contract PaySignedTest is Base {
    bytes32 private constant TYPE_HASH =
        keccak256("Payment(address payer,address payee,uint256 amount,bytes data,uint256 nonce,uint64 deadline)");

    function aPayment() private view returns (Payment memory payment) {
        payment.payer = client;
        payment.payee = stranger;
        payment.amount = 2e6;
        payment.nonce = 42;
        payment.deadline = uint64(block.timestamp + 1 hours);
    }

    function digest(Payment memory p) private view returns (bytes32) {
        bytes32 hash =
            keccak256(abi.encode(TYPE_HASH, p.payer, p.payee, p.amount, keccak256(p.data), p.nonce, p.deadline));
        return keccak256(abi.encodePacked(hex"1901", vault.domainSeparator(), hash));
    }

    function sign(Payment memory payment, uint256 key) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest(payment));
        return abi.encodePacked(r, s, v);
    }

    function refuses(Payment memory payment, bytes memory signature) private {
        uint256 before = vault.balanceOf(payment.payer);
        vm.expectRevert(abi.encodeWithSelector(IVault.BadPaymentSignature.selector, payment.payer));
        vault.paySigned(payment, signature);
        assertEq(vault.balanceOf(payment.payer), before);
    }

    function test_anyoneMaySendIt() public {
        Payment memory payment = aPayment();
        bytes memory signature = sign(payment, clientKey);
        vm.expectEmit(address(vault));
        emit IVault.PaymentNonceUsed(client, 42);
        vm.expectEmit(address(vault));
        emit IVault.Paid(client, stranger, 2e6);
        vm.prank(makeAddr("relayer"));
        vault.paySigned(payment, signature);
        assertEq(vault.balanceOf(stranger), 2e6);
        assertTrue(vault.nonceUsed(client, 42));
    }

    function test_withDataItCallsThePayee() public {
        Receiver receiver = new Receiver();
        Payment memory payment = aPayment();
        payment.payee = address(receiver);
        payment.data = hex"01";
        vault.paySigned(payment, sign(payment, clientKey));
        assertEq(receiver.payer(), client);
        assertEq(receiver.amount(), 2e6);
        assertEq(receiver.data(), hex"01");
    }

    function test_opensAJobForAClientWithoutGas() public {
        Job memory job = aJob();
        Payment memory payment = aPayment();
        payment.payee = address(escrow);
        payment.amount = job.ceiling;
        payment.data = openCall(job);
        vm.prank(stranger);
        vault.paySigned(payment, sign(payment, clientKey));
        assertStatus(escrow.jobHash(job), Status.Open);
    }

    function test_contractWallet() public {
        ContractWallet wallet = new ContractWallet(client);
        fund(address(wallet), 5e6);
        Payment memory payment = aPayment();
        payment.payer = address(wallet);
        vault.paySigned(payment, sign(payment, clientKey));
        assertEq(vault.balanceOf(stranger), 2e6);
        payment.nonce = 43;
        refuses(payment, sign(payment, operatorKey));
    }

    function test_onlyOnce() public {
        Payment memory payment = aPayment();
        bytes memory signature = sign(payment, clientKey);
        vault.paySigned(payment, signature);
        vm.expectRevert(abi.encodeWithSelector(IVault.NonceUsed.selector, client, 42));
        vault.paySigned(payment, signature);
    }

    function test_notAfterItsDeadline() public {
        Payment memory payment = aPayment();
        bytes memory signature = sign(payment, clientKey);
        vm.warp(payment.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.PaymentExpired.selector, payment.deadline, payment.deadline + 1));
        vault.paySigned(payment, signature);
        vm.warp(payment.deadline);
        vault.paySigned(payment, signature);
    }

    function test_cancelled() public {
        Payment memory payment = aPayment();
        bytes memory signature = sign(payment, clientKey);
        vm.expectEmit(address(vault));
        emit IVault.PaymentNonceUsed(client, 42);
        vm.prank(client);
        vault.cancelPayment(42);
        vm.expectRevert(abi.encodeWithSelector(IVault.NonceUsed.selector, client, 42));
        vault.paySigned(payment, signature);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NonceUsed.selector, client, 42));
        vault.cancelPayment(42);
    }

    /// @dev Nobody cancels another's payment.
    function test_cancelIsOnesOwn() public {
        Payment memory payment = aPayment();
        vm.prank(stranger);
        vault.cancelPayment(42);
        vault.paySigned(payment, sign(payment, clientKey));
        assertEq(vault.balanceOf(stranger), 2e6);
    }

    function test_everyFieldIsSigned() public {
        bytes memory signature = sign(aPayment(), clientKey);
        Payment memory payment = aPayment();
        payment.payer = node;
        refuses(payment, signature);
        payment = aPayment();
        payment.payee = trainer;
        refuses(payment, signature);
        payment = aPayment();
        payment.amount += 1;
        refuses(payment, signature);
        payment = aPayment();
        payment.data = hex"00";
        refuses(payment, signature);
        payment = aPayment();
        payment.nonce += 1;
        refuses(payment, signature);
        payment = aPayment();
        payment.deadline += 1;
        refuses(payment, signature);
    }

    function test_refusesABrokenSignature() public {
        Payment memory payment = aPayment();
        refuses(payment, "");
        refuses(payment, new bytes(65));
        bytes memory signature = sign(payment, clientKey);
        signature[64] = bytes1(uint8(signature[64]) ^ 7);
        refuses(payment, signature);
        payment.payer = address(0);
        refuses(payment, new bytes(65));
    }

    /// @dev The other s of the same signature (malleability) is no second payment, and no first.
    function test_refusesTheMirrorSignature() public {
        Payment memory payment = aPayment();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(clientKey, digest(payment));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        refuses(payment, abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27)));
    }

    function test_anotherChainsSignatureIsWorthless() public {
        Payment memory payment = aPayment();
        bytes memory signature = sign(payment, clientKey);
        vm.chainId(1);
        refuses(payment, signature);
        vault.paySigned(payment, sign(payment, clientKey));
    }

    function testFuzz_paysNoMoreThanTheBalance(uint256 amount) public {
        uint256 balance = vault.balanceOf(client);
        Payment memory payment = aPayment();
        payment.amount = amount;
        bytes memory signature = sign(payment, clientKey);
        if (amount > balance) {
            vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientBalance.selector, client, balance, amount));
        }
        vault.paySigned(payment, signature);
        assertEq(vault.balanceOf(stranger), amount > balance ? 0 : amount);
    }
}
