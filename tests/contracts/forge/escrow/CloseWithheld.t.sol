// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Status} from "../Base.t.sol";

contract CloseWithheldTest is Base {
    Job private job;
    Completion private completion;
    uint256 private before;
    uint256 private until;

    function setUp() public override {
        super.setUp();
        before = vault.balanceOf(client);
        job = aJob();
        completion = demanded(job);
        until = block.timestamp + DELIVERY_WINDOW;
    }

    function test_refundsAndSlashes() public {
        vm.warp(until + 1);
        bytes32 id = completion.jobHash;
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobRefunded(id, CEILING + DELIVERY_COST);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.NodePunished(id, node, PENALTY, PAYMENT, PENALTY - PAYMENT);
        vm.prank(stranger);
        escrow.closeWithheld(job, completion);
        assertStatus(id, Status.Final);
        assertEq(vault.balanceOf(client), before + PAYMENT);
        assertEq(vault.balanceOf(BURNED), PENALTY - PAYMENT);
        assertEq(vault.balanceOf(address(escrow)), 0);
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(reservedOf(node), 0);
        assertEq(provisionedBy(node), 500e6 - PENALTY);
    }

    /// @dev To be one's own client and slash oneself is a way to lose the burned part, never a way out.
    function test_slashingOneselfLosesAtLeastHalf() public {
        uint256 mine = before + provisionedBy(node) + vault.balanceOf(treasurer);
        vm.warp(until + 1);
        escrow.closeWithheld(job, completion);
        uint256 after_ = vault.balanceOf(client) + provisionedBy(node) + vault.balanceOf(treasurer);
        assertEq(mine - after_, PENALTY - PAYMENT);
        assertGe(mine - after_, PENALTY / 2);
    }

    /// @dev However dear the answer, the winner's share is the most that a client wins.
    function test_theWinnersShareIsTheMost() public {
        Job memory dear = aJob();
        (dear.seed, dear.outputPrice, dear.ceiling) = (8, 2e12, 512e6 + 2300);
        fund(client, 512e6);
        uint256 had = vault.balanceOf(client);
        Completion memory its = demanded(dear);
        vm.warp(until + 1);
        escrow.closeWithheld(dear, its);
        assertEq(vault.balanceOf(client), had + 8e6);
        assertEq(vault.balanceOf(BURNED), 12e6);
    }

    function test_notASecondTooEarly() public {
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, until, until));
        escrow.closeWithheld(job, completion);
    }

    function test_notOnceDelivered() public {
        escrow.deliver(job, completion, maskedOutput());
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Delivered));
        escrow.closeWithheld(job, completion);
    }

    function test_notUnlessDemanded() public {
        Job memory other = aJob();
        other.seed += 1;
        Completion memory its = completed(other);
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, its.jobHash, Status.Completed));
        escrow.closeWithheld(other, its);
    }

    function test_notTwice() public {
        vm.warp(until + 1);
        escrow.closeWithheld(job, completion);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Final));
        escrow.closeWithheld(job, completion);
    }

    /// @dev Made up tokens were hashed: nobody can post what gives another hash, so the window closes on the node.
    function test_anInventedHashCantBeDelivered() public {
        Job memory other = aJob();
        other.seed += 1;
        open(other);
        Completion memory its = completionOf(other);
        its.outputHash = keccak256("nobody knows the preimage of this as 5 tokens");
        complete(its);
        demand(other, its);
        bytes memory guess = maskedOutput();
        vm.expectPartialRevert(IJobEscrow.WrongTokens.selector);
        escrow.deliver(other, its, guess);
        vm.warp(until + 1);
        escrow.closeWithheld(other, its);
        assertEq(vault.balanceOf(treasurer), 0);
    }
}
