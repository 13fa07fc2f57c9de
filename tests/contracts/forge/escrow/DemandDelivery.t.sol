// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, IJobEscrowPayments, Job, Completion, Status} from "../Base.t.sol";

contract DemandDeliveryTest is Base {
    function call(Job memory job, Completion memory completion) private pure returns (bytes memory) {
        return abi.encodeCall(IJobEscrowPayments.demandDelivery, (job, completion));
    }

    function refuses(Job memory job, Completion memory completion, bytes memory error) private {
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(escrow), DELIVERY_COST, call(job, completion));
    }

    function test_startsTheNodesWindow() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        uint256 before = vault.balanceOf(client);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.DeliveryDemanded(completion.jobHash, block.timestamp + DELIVERY_WINDOW);
        demand(job, completion);
        assertStatus(completion.jobHash, Status.Demanded, block.timestamp + DELIVERY_WINDOW);
        assertEq(vault.balanceOf(client), before - DELIVERY_COST);
        assertEq(vault.balanceOf(address(escrow)), CEILING + DELIVERY_COST);
    }

    function testFuzz_cost(uint256 tokens) public view {
        tokens = bound(tokens, 0, 16_384);
        assertEq(escrow.deliveryCost(tokens), 50_000 + 100 * tokens);
    }

    function test_theClientAlone() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        fund(stranger, DELIVERY_COST);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotClient.selector, stranger, client));
        vault.payAndCall(address(escrow), DELIVERY_COST, call(job, completion));
    }

    function test_payTheCostExactly() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.startPrank(client);
        for (uint256 i = 0; i < 3; i += 2) {
            uint256 amount = DELIVERY_COST + i - 1;
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongAmount.selector, amount, DELIVERY_COST));
            vault.payAndCall(address(escrow), amount, call(job, completion));
        }
    }

    function test_withinTheWindow() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        uint256 until = block.timestamp + CHALLENGE_WINDOW;
        vm.warp(until + 1);
        refuses(job, completion, abi.encodeWithSelector(IJobEscrow.WindowClosed.selector, until, until + 1));
        vm.warp(until);
        demand(job, completion);
    }

    function test_notBeforeCompletion() public {
        Job memory job = aJob();
        bytes32 id = open(job);
        refuses(job, completionOf(job), abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Open));
    }

    /// @dev One demand a job: a client can't keep a node posting.
    function test_once() public {
        Job memory job = aJob();
        Completion memory completion = demanded(job);
        bytes32 id = completion.jobHash;
        refuses(job, completion, abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Demanded));
        escrow.deliver(job, completion, maskedOutput());
        refuses(job, completion, abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Delivered));
    }

    function test_justThatCompletion() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        completion.outputHash = 0;
        refuses(job, completion, abi.encodeWithSelector(IJobEscrow.WrongCompletion.selector, completion.jobHash));
    }

    function test_tooShortToHoldBoth() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadCallLength.selector, 863, 864));
        vault.payAndCall(address(escrow), 0, bytes.concat(IJobEscrowPayments.demandDelivery.selector, new bytes(863)));
    }
}
