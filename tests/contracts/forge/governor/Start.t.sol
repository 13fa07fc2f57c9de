// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Receiver, Refuser} from "../doubles/Receivers.sol";
import {
    TuningBase,
    ITuningTasks,
    ITuningTasksPayments,
    Pot,
    TaskStatus,
    TuningFunction,
    TuningTerms,
    T
} from "./TuningBase.t.sol";

contract StartTest is TuningBase {
    function test_anyoneMayWithTheirOwnMoney() public {
        TuningTerms memory t = someTerms();
        bytes32 id = keccak256(abi.encode(sponsor, t, VERSION, REFERENCE));
        vm.expectEmit(address(tasks));
        emit ITuningTasks.FunctionStarted(id, sponsor, REFERENCE, VERSION, t, AMOUNT, AMOUNT / 5);
        assertEq(start(t, AMOUNT), id);
        TuningFunction memory f = tasks.functionOf(id);
        assertEq(f.payer, sponsor);
        assertEq(f.start, block.timestamp);
        assertEq(f.most, MOST);
        assertEq(f.auditFee, AUDIT_FEE);
        assertEq(f.left, AMOUNT * 4 / 5);
        assertEq(f.committed, 0);
        assertEq(vault.balanceOf(address(tasks)), AMOUNT * 4 / 5);
        Pot memory pot = rewards.potOf(rewards.potId(address(tasks), id));
        assertEq(pot.left, AMOUNT / 5);
        assertEq(pot.refundTo, sponsor);
        assertEq(pot.from, block.timestamp + tasks.longest() + 1);
        assertTask(id, TaskStatus.Open);
    }

    function test_notTwice() public {
        bytes32 id = started();
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.FunctionExists.selector, id));
        started();
    }

    function test_refusals() public {
        TuningTerms memory t = someTerms();
        t.modelId = 0;
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.BadTerms.selector, "modelId"));
        start(t, AMOUNT);
        t = someTerms();
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.AmountTooSmall.selector, 1, 2));
        start(t, 1);
        vm.prank(sponsor);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.UnknownCall.selector, bytes4(0x01020304)));
        vault.payAndCall(address(tasks), 1, hex"01020304");
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotVault.selector, address(this)));
        tasks.onVaultPayment(sponsor, AMOUNT, abi.encodeCall(ITuningTasksPayments.start, (t, VERSION, REFERENCE)));
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.UnknownFunction.selector, bytes32(uint256(1))));
        tasks.claim(bytes32(uint256(1)), 0, node, 0);
        bytes32 id = started();
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.UnknownShard.selector, 2, 2));
        tasks.claim(id, 2, node, 0);
    }

    function test_whatIsNotSpentGoesBack() public {
        bytes32 id = started();
        uint256 until = block.timestamp + T.CLAIM;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.TooEarly.selector, until + 1, until));
        tasks.sweep(id);
        vm.warp(until + 1);
        vm.prank(stranger);
        assertEq(tasks.sweep(id), AMOUNT * 4 / 5);
        assertEq(vault.balanceOf(sponsor), 10_000e6 - AMOUNT / 5);
        assertEq(tasks.sweep(id), 0, "once");
    }

    /// @dev What a claimed task may still cost stays.
    function test_sweepingLeavesWhatIsPromised() public {
        bytes32 id = started();
        vm.warp(block.timestamp + T.CLAIM);
        claim(id, 0, node);
        vm.warp(block.timestamp + 1);
        assertEq(tasks.sweep(id), AMOUNT * 4 / 5 - MOST - AUDIT_FEE);
        assertEq(tasks.functionOf(id).left, MOST + AUDIT_FEE);
        vm.warp(block.timestamp + T.TASK);
        tasks.settle(id, 0);
        assertEq(tasks.sweep(id), MOST + AUDIT_FEE, "abandoned, and nobody else can claim it");
        assertEq(vault.balanceOf(address(tasks)), 0);
    }

    function test_aTreasurysRestGoesBackToItsModel() public {
        (, bytes32 id) = closedEpoch(1000e6);
        vm.warp(block.timestamp + T.CLAIM + 1);
        assertEq(tasks.sweep(id), 800e6);
        assertEq(governor.treasuryOf(modelId), 800e6);
        assertEq(vault.balanceOf(address(governor)), 800e6);
    }

    /// @dev Whoever can't take the rest back has only itself to blame, and holds up nobody.
    function test_aPayerThatRefusesHoldsUpNobody() public {
        Refuser refuser = new Refuser();
        fund(address(refuser), AMOUNT);
        TuningTerms memory t = someTerms();
        vm.prank(address(refuser));
        vault.payAndCall(address(tasks), AMOUNT, abi.encodeCall(ITuningTasksPayments.start, (t, VERSION, REFERENCE)));
        bytes32 id = tasks.functionId(address(refuser), t, VERSION, REFERENCE);
        bytes32 other = started();
        vm.warp(block.timestamp + T.CLAIM + 1);
        vm.expectRevert();
        tasks.sweep(id);
        tasks.sweep(other);
    }

    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_noUnitIsLost(uint256 amount, uint16 shards, uint16 share) public {
        TuningTerms memory t = someTerms();
        (t.shards, t.preferenceShare) = (uint16(bound(shards, 1, 256)), uint16(bound(share, 0, 5000)));
        amount = bound(amount, t.shards, 5000e6);
        bytes32 id = start(t, amount);
        TuningFunction memory f = tasks.functionOf(id);
        assertLe(uint256(f.shards) * (f.most + f.auditFee), f.left);
        uint256 inPot = rewards.potOf(rewards.potId(address(tasks), id)).left;
        assertEq(f.left + inPot, amount);
        vm.warp(block.timestamp + T.CLAIM + 1);
        tasks.sweep(id);
        if (inPot != 0) {
            bytes32 pot = rewards.potId(address(tasks), id);
            vm.warp(rewards.sweepFrom(pot));
            rewards.sweep(pot);
        }
        assertEq(vault.balanceOf(sponsor), 10_000e6);
    }
}
