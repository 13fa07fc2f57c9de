// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IVault, IJobEscrow, Job, Status} from "../Base.t.sol";
import {Receiver, Refuser, Forwarder, Intruder} from "../doubles/Receivers.sol";

contract PayAndCallTest is Base {
    function test_paysAndTells() public {
        Receiver receiver = new Receiver();
        vm.expectEmit(address(vault));
        emit IVault.Paid(client, address(receiver), 3e6);
        vm.prank(client);
        vault.payAndCall(address(receiver), 3e6, hex"c0ffee");
        assertEq(vault.balanceOf(address(receiver)), 3e6);
        assertEq(receiver.caller(), address(vault));
        assertEq(receiver.payer(), client);
        assertEq(receiver.amount(), 3e6);
        assertEq(receiver.data(), hex"c0ffee");
    }

    function test_payeeMayPayOnAtOnce() public {
        Forwarder forwarder = new Forwarder();
        vm.prank(client);
        vault.payAndCall(address(forwarder), 3e6, abi.encode(stranger));
        assertEq(vault.balanceOf(address(forwarder)), 0);
        assertEq(vault.balanceOf(stranger), 3e6);
    }

    function test_undoneWhenThePayeeRefuses() public {
        Refuser refuser = new Refuser();
        uint256 before = vault.balanceOf(client);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.PaymentRejected.selector, address(refuser)));
        vault.payAndCall(address(refuser), 3e6, "");
        assertEq(vault.balanceOf(client), before);
    }

    function test_refusesAPayeeWithoutCode() public {
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(stranger, 3e6, "");
        assertEq(vault.balanceOf(stranger), 0);
    }

    function test_refusesMoreThanTheBalance() public {
        Receiver receiver = new Receiver();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientBalance.selector, stranger, 0, 1));
        vault.payAndCall(address(receiver), 1, "");
        assertEq(receiver.caller(), address(0));
    }

    function test_refusesTheVault() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NoSelfTransfer.selector, address(vault)));
        vault.payAndCall(address(vault), 0, "");
    }

    /// @dev Only the Vault may say that money has come.
    function test_receiversBelieveTheVaultAlone() public {
        bytes memory notVault = abi.encodeWithSelector(IJobEscrow.NotVault.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(notVault);
        escrow.onVaultPayment(client, 1e6, "");
        vm.expectRevert(notVault);
        registry.onVaultPayment(client, 1e6, abi.encode(node));
        vm.expectRevert(notVault);
        governor.onVaultPayment(client, 1e6, abi.encode(modelId));
    }

    /// @dev A payee that, paid once, takes money out within the call leaves the ledger whole.
    function test_reentrantPayee_canSpendOnlyItsOwn() public {
        Intruder intruder = new Intruder();
        uint256 held = token.balanceOf(address(vault));
        uint256 before = vault.balanceOf(client);
        intruder.aim(address(vault), abi.encodeCall(IVault.withdraw, (address(intruder), 3e6)));
        vm.prank(client);
        vault.payAndCall(address(intruder), 3e6, "");
        assertTrue(intruder.succeeded());
        assertEq(vault.balanceOf(client), before - 3e6);
        assertEq(token.balanceOf(address(vault)), held - 3e6);

        intruder.aim(address(vault), abi.encodeCall(IVault.withdraw, (address(intruder), 3e6 + 1)));
        vm.prank(client);
        vault.payAndCall(address(intruder), 3e6, "");
        assertFalse(intruder.succeeded());
        assertEq(vault.balanceOf(address(intruder)), 3e6);
    }

    /// @dev The payee, called by the Vault, is not the payer: it can't open a job with the payer's money.
    function test_reentrantPayee_cantActForThePayer() public {
        Intruder intruder = new Intruder();
        Job memory job = aJob();
        bytes memory data = openCall(job);
        intruder.aim(address(vault), abi.encodeCall(IVault.payAndCall, (address(escrow), job.ceiling, data)));
        vm.prank(client);
        vault.payAndCall(address(intruder), 3e6, "");
        assertFalse(intruder.succeeded());
        assertEq(intruder.result(), abi.encodeWithSelector(IJobEscrow.NotClient.selector, address(intruder), client));
        assertStatus(escrow.jobHash(job), Status.None);
    }
}
