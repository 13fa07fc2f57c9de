// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Status} from "../Base.t.sol";

contract DeliverTest is Base {
    Job private job;
    Completion private completion;

    function setUp() public override {
        super.setUp();
        job = aJob();
        completion = demanded(job);
    }

    function test_postsTheOutputAndStartsTheWindowAgain() public {
        vm.warp(block.timestamp + 10 minutes);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.OutputDelivered(completion.jobHash, maskedOutput(), block.timestamp + CHALLENGE_WINDOW);
        vm.prank(operator);
        escrow.deliver(job, completion, maskedOutput());
        assertStatus(completion.jobHash, Status.Delivered, block.timestamp + CHALLENGE_WINDOW);
        assertEq(vault.balanceOf(BURNED), DELIVERY_COST);
        assertEq(vault.balanceOf(address(escrow)), CEILING);
        assertEq(reservedOf(node), PENALTY);
    }

    /// @dev Nobody gains by posting, nor by being asked to.
    function test_byAnyone() public {
        vm.prank(stranger);
        escrow.deliver(job, completion, maskedOutput());
        assertEq(vault.balanceOf(BURNED), DELIVERY_COST);
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(vault.balanceOf(stranger), 0);
    }

    function test_thenTheNodeIsPaid() public {
        escrow.deliver(job, completion, maskedOutput());
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
        Job[] memory jobs = new Job[](1);
        Completion[] memory completions = new Completion[](1);
        (jobs[0], completions[0]) = (job, completion);
        assertEq(escrow.finalize(jobs, completions), 1);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
    }

    function test_justThatOutput() public {
        bytes memory wrong = maskedOutput();
        wrong[3] ^= 0x01;
        bytes32 hash = completion.outputHash;
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, keccak256(wrong), hash, wrong.length));
        escrow.deliver(job, completion, wrong);
    }

    function test_notAgain() public {
        escrow.deliver(job, completion, maskedOutput());
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Delivered));
        escrow.deliver(job, completion, maskedOutput());
    }

    function test_notUnlessDemanded() public {
        Job memory other = aJob();
        other.seed += 1;
        Completion memory its = completed(other);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, its.jobHash, Status.Completed));
        escrow.deliver(other, its, maskedOutput());
    }

    function test_withinTheWindow() public {
        uint256 until = block.timestamp + DELIVERY_WINDOW;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WindowClosed.selector, until, until + 1));
        escrow.deliver(job, completion, maskedOutput());
        vm.warp(until);
        escrow.deliver(job, completion, maskedOutput());
    }
}

contract DeliverLengthTest is Base {
    /// @dev A hash that is right for a length that is not: the node claimed more tokens than it has.
    function test_theCountIsChecked() public {
        Job memory job = aJob();
        open(job);
        Completion memory completion = completionOf(job);
        completion.outputTokens = OUTPUT_TOKENS + 1;
        complete(completion);
        demand(job, completion);
        bytes memory output = maskedOutput();
        bytes32 hash = completion.outputHash;
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, hash, hash, output.length));
        escrow.deliver(job, completion, output);
    }

    /// @dev The most evidence there can be: 64 KiB, within a block.
    function test_theLongestAnswer() public {
        Job memory job = aJob();
        (job.promptTokens, job.maxTokens) = (1, 16_383);
        job.ceiling = 10e6;
        open(job);
        bytes memory output = new bytes(4 * 16_383);
        Completion memory completion = completionOf(job);
        (completion.outputTokens, completion.outputHash) = (16_383, keccak256(output));
        complete(completion);
        demand(job, completion);
        escrow.deliver(job, completion, output);
        assertStatus(completion.jobHash, Status.Delivered);
        assertEq(vault.balanceOf(BURNED), 50_000 + 100 * 16_383);
    }
}
