// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Ruling, Status} from "../Base.t.sol";

contract CloseDisputeTest is Base {
    Job private job;
    uint256 private before;

    function setUp() public override {
        super.setUp();
        job = aJob();
        before = vault.balanceOf(client);
    }

    function close(Completion memory completion) private {
        vm.prank(stranger);
        escrow.closeDispute(job, completion);
        assertStatus(completion.jobHash, Status.Final);
        assertEq(vault.balanceOf(address(escrow)), escrow.feesOf(modelId));
        assertEq(reservedOf(node), 0);
    }

    function test_upheld() public {
        Completion memory completion = ruled(job, Ruling.Upheld, 1e6);
        bytes32 id = completion.jobHash;
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobRefunded(id, CEILING);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.NodePunished(id, node, PENALTY, 8e6, 12e6);
        close(completion);
        assertEq(vault.balanceOf(client), before - court.BOND() + 8e6 - 1e6);
        assertEq(vault.balanceOf(address(court)), court.BOND() + 1e6);
        assertEq(escrow.courtFeeOf(id), 1e6);
        assertEq(vault.balanceOf(BURNED), 12e6);
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(provisionedBy(node), 500e6 - PENALTY);
    }

    /// @dev A court that asks for nothing is not paid nothing: no payment, no slot.
    function test_upheldByACourtThatAsksNothing() public {
        Completion memory completion = ruled(job, Ruling.Upheld, 0);
        vm.expectCall(address(vault), abi.encodeCall(vault.pay, (address(court), 0)), 0);
        vm.expectCall(address(vault), abi.encodeCall(vault.pay, (client, 8e6)), 1);
        close(completion);
        assertEq(escrow.courtFeeOf(completion.jobHash), 0);
        assertEq(vault.balanceOf(address(court)), court.BOND());
        assertEq(vault.balanceOf(client), before - court.BOND() + 8e6);
        assertEq(vault.balanceOf(BURNED), 12e6);
    }

    function test_dismissed() public {
        Completion memory completion = ruled(job, Ruling.Dismissed, 1e6);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobPaid(completion.jobHash, PAYMENT, FEE);
        close(completion);
        assertEq(vault.balanceOf(client), before - court.BOND() - PAYMENT);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
        assertEq(vault.balanceOf(address(court)), court.BOND());
        assertEq(provisionedBy(node), 500e6);
    }

    function test_undecided() public {
        Completion memory completion = ruled(job, Ruling.Undecided, 1e6);
        close(completion);
        assertEq(vault.balanceOf(client), before - court.BOND());
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(provisionedBy(node), 500e6);
    }

    function test_aSilentCourtEndsUndecided() public {
        Completion memory completion = disputed(job);
        uint256 until = block.timestamp + DISPUTE_LIMIT;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, until, until));
        escrow.closeDispute(job, completion);
        vm.warp(until + 1);
        close(completion);
        assertEq(vault.balanceOf(client), before - court.BOND());
        assertEq(provisionedBy(node), 500e6);
    }

    function test_onlyDisputes() public {
        Completion memory completion = completed(job);
        bytes32 id = completion.jobHash;
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Completed));
        escrow.closeDispute(job, completion);
    }

    function test_notTwice() public {
        Completion memory completion = ruled(job, Ruling.Upheld, 0);
        close(completion);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Final));
        escrow.closeDispute(job, completion);
    }

    /// @dev The court is paid without being called: one that refuses money can't keep a client from its refund.
    function test_theCourtIsNotCalled() public {
        Completion memory completion = ruled(job, Ruling.Upheld, 1e6);
        vm.etch(address(court), hex"fe");
        vm.prank(stranger);
        escrow.closeDispute(job, completion);
        assertStatus(completion.jobHash, Status.Final);
        assertEq(vault.balanceOf(address(court)), 3e6 + 1e6);
    }
}

contract CloseDisputeFeeTest is Base {
    Job private job;
    Completion private completion;
    uint256 private before;

    function setUp() public override {
        super.setUp();
        job = aJob();
        before = vault.balanceOf(client) - court.BOND();
        completion = disputed(job);
    }

    /// @dev The court is paid within the winner's share: judging costs the burned part nothing.
    function testFuzz_isCapped(uint256 courtFee) public {
        court.rule(escrow, completion.jobHash, Ruling.Upheld, courtFee);
        escrow.closeDispute(job, completion);
        uint256 fee = courtFee < 8e6 ? courtFee : 8e6;
        assertEq(vault.balanceOf(address(court)), court.BOND() + fee);
        assertEq(escrow.courtFeeOf(completion.jobHash), fee);
        assertEq(vault.balanceOf(client), before + 8e6 - fee);
        assertEq(vault.balanceOf(BURNED), 12e6);
    }
}
