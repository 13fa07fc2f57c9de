// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, IModelRegistry, Job, Completion} from "../Base.t.sol";

contract PushModelFeesTest is Base {
    function test_toTheTreasury() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.prank(client);
        escrow.approve(job, completion);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.ModelFeesPushed(modelId, FEE);
        vm.prank(stranger);
        assertEq(escrow.pushModelFees(modelId), FEE);
        assertEq(escrow.feesOf(modelId), 0);
        assertEq(governor.treasuryOf(modelId), FEE);
        assertEq(vault.balanceOf(address(governor)), FEE);
        assertEq(vault.balanceOf(address(escrow)), 0);
    }

    function test_nothingIsHarmless() public {
        assertEq(escrow.pushModelFees(modelId), 0);
        assertEq(governor.treasuryOf(modelId), 0);
    }

    function test_unknownModel() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        escrow.pushModelFees(1);
    }

    /// @dev Fees never reach into what is locked for jobs that run.
    function test_leavesWhatIsLocked() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.prank(client);
        escrow.approve(job, completion);
        job.seed += 1;
        open(job);
        escrow.pushModelFees(modelId);
        assertEq(vault.balanceOf(address(escrow)), CEILING);
    }
}
