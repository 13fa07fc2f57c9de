// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Status, Ruling} from "../Base.t.sol";

contract ApproveTest is Base {
    function approve(Job memory job, Completion memory completion) private {
        vm.prank(client);
        escrow.approve(job, completion);
    }

    function test_paysNodeModelAndClient() public {
        Job memory job = aJob();
        uint256 before = vault.balanceOf(client);
        Completion memory completion = completed(job);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobPaid(completion.jobHash, PAYMENT, FEE);
        approve(job, completion);
        assertStatus(completion.jobHash, Status.Final, 0);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
        assertEq(escrow.feesOf(modelId), FEE);
        assertEq(vault.balanceOf(client), before - PAYMENT);
        assertEq(vault.balanceOf(address(escrow)), FEE);
        assertEq(reservedOf(node), 0);
        assertEq(provisionedBy(node), 500e6);
    }

    function test_theClientAlone() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotClient.selector, operator, client));
        escrow.approve(job, completion);
    }

    function test_afterTheWindowToo() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.warp(block.timestamp + 365 days);
        approve(job, completion);
        assertStatus(completion.jobHash, Status.Final);
    }

    /// @dev A demand's fee is burned whatever follows but the node's silence: or a client could let the node send megabytes and take the
    /// fee back by approving in front of them.
    function test_whileDemanded_theDemandsFeeIsBurned() public {
        Job memory job = aJob();
        uint256 before = vault.balanceOf(client);
        Completion memory completion = demanded(job);
        approve(job, completion);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
        assertEq(vault.balanceOf(BURNED), DELIVERY_COST);
        assertEq(vault.balanceOf(client), before - PAYMENT - DELIVERY_COST);
        assertEq(vault.balanceOf(address(escrow)), FEE);
    }

    function test_afterDelivery() public {
        Job memory job = aJob();
        uint256 before = vault.balanceOf(client);
        Completion memory completion = delivered(job);
        approve(job, completion);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
        assertEq(vault.balanceOf(BURNED), DELIVERY_COST);
        assertEq(vault.balanceOf(client), before - PAYMENT - DELIVERY_COST);
    }

    function test_notBeforeCompletion() public {
        Job memory job = aJob();
        bytes32 id = open(job);
        Completion memory completion = completionOf(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Open));
        escrow.approve(job, completion);
    }

    function test_notTwice() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        approve(job, completion);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Final));
        escrow.approve(job, completion);
    }

    function test_notOnceItIsDisputed() public {
        Job memory job = aJob();
        Completion memory completion = disputed(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, completion.jobHash, Status.Disputed));
        escrow.approve(job, completion);
    }

    function test_justThatCompletion() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        bytes32 id = completion.jobHash;
        completion.payTo = client;
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongCompletion.selector, id));
        escrow.approve(job, completion);
    }

    /// @dev Another job's completion, lawful in itself, closes nothing but its own job.
    function test_notAnotherJobsCompletion() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        Job memory other = aJob();
        other.seed += 1;
        Completion memory others = completed(other);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongCompletion.selector, completion.jobHash));
        escrow.approve(job, others);
    }

    function testFuzz_everyUnitGoesSomewhere(uint32 tokens, uint64 inputPrice, uint64 outputPrice, uint128 more)
        public
    {
        Job memory job = aJob();
        job.inputPrice = uint64(bound(inputPrice, MODEL_FEE, 300e9));
        job.outputPrice = uint64(bound(outputPrice, MODEL_FEE, 300e9));
        job.ceiling = uint128(priceOf(job, MAX_TOKENS) + bound(more, 0, 1e6));
        uint256 before = vault.balanceOf(client);
        open(job);
        Completion memory completion = completionOf(job);
        completion.outputTokens = uint32(bound(tokens, 1, MAX_TOKENS));
        complete(completion);
        approve(job, completion);
        uint256 paid = before - vault.balanceOf(client);
        assertEq(paid, priceOf(job, completion.outputTokens));
        assertEq(vault.balanceOf(treasurer) + escrow.feesOf(modelId), paid);
        assertEq(vault.balanceOf(address(escrow)), escrow.feesOf(modelId));
        assertEq(escrow.feesOf(modelId), uint256(PROMPT_TOKENS + completion.outputTokens) * 10);
    }

    function priceOf(Job memory job, uint256 tokens) private pure returns (uint256) {
        return (uint256(job.promptTokens) * job.inputPrice + tokens * job.outputPrice + 999_999) / 1e6;
    }
}
