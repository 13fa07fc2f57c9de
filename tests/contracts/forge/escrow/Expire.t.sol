// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, EscrowConfig, Status} from "../Base.t.sol";

contract ExpireTest is Base {
    function test_refundsAndSlashesTheSmallerPenalty() public {
        Job memory job = aJob();
        uint256 before = vault.balanceOf(client);
        bytes32 id = open(job);
        vm.warp(job.deadline + 1);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobRefunded(id, CEILING);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.NodePunished(id, node, MISS_PENALTY, CEILING, MISS_PENALTY - CEILING);
        vm.prank(stranger);
        escrow.expire(job);
        assertStatus(id, Status.Final);
        assertEq(vault.balanceOf(client), before + CEILING);
        assertEq(vault.balanceOf(BURNED), MISS_PENALTY - CEILING);
        assertEq(vault.balanceOf(address(escrow)), 0);
        assertEq(reservedOf(node), 0);
        assertEq(provisionedBy(node), 500e6 - MISS_PENALTY);
    }

    /// @dev Locking more than the answer can cost wins a client no more.
    function test_whatIsWonIsAtMostTheFullPrice() public {
        Job memory job = aJob();
        job.ceiling = 50e6;
        uint256 before = vault.balanceOf(client);
        open(job);
        vm.warp(job.deadline + 1);
        escrow.expire(job);
        assertEq(vault.balanceOf(client), before + CEILING);
    }

    function test_notASecondTooEarly() public {
        Job memory job = aJob();
        open(job);
        vm.warp(job.deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, job.deadline, job.deadline));
        escrow.expire(job);
    }

    function test_notOnceCompleted() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.warp(job.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Completed));
        escrow.expire(job);
    }

    function test_notTwice() public {
        Job memory job = aJob();
        bytes32 id = open(job);
        vm.warp(job.deadline + 1);
        escrow.expire(job);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Final));
        escrow.expire(job);
    }

    function test_notAJobThatNeverWas() public {
        Job memory job = aJob();
        bytes32 id = escrow.jobHash(job);
        vm.warp(job.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.None));
        escrow.expire(job);
    }

    function test_withoutAMissPenaltyNothingIsTaken() public {
        EscrowConfig memory c = defaultConfig();
        (c.missPenalty, c.winnerShare) = (0, 0);
        escrow = deployEscrow(c);
        vm.prank(node);
        registry.provision(address(escrow), modelId, 100e6);
        Job memory job = aJob();
        open(job);
        vm.warp(job.deadline + 1);
        escrow.expire(job);
        assertEq(provisionedBy(node), 100e6);
        assertEq(reservedOf(node), 0);
        assertEq(vault.balanceOf(BURNED), 0);
    }
}
