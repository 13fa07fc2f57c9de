// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase, ITuningTasks, Submission, TaskStatus, TuningTask, T} from "./TuningBase.t.sol";

contract SubmitTest is TuningBase {
    function test_theWorkIsHandedIn() public {
        bytes32 id = claimed();
        uint64 ticket = uint64(block.number + 2);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.WorkSubmitted(id, 0, node, 1, someWork(), 18e6, ticket);
        vm.prank(operator);
        tasks.submit(id, 0, someWork());
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(uint256(t.status), uint256(TaskStatus.Submitted));
        assertEq(t.time, block.timestamp);
        assertEq(t.pay, 18e6);
        assertEq(t.submission, keccak256(abi.encode(someWork())));
        assertEq(t.period, block.timestamp / 1 hours - 1);
    }

    function test_paidByTheUnitIfThatIsLess() public {
        bytes32 id = claimed();
        Submission memory s = someWork();
        s.units = 7_000_001;
        vm.prank(node);
        tasks.submit(id, 0, s);
        assertEq(tasks.taskOf(id, 0).pay, 7_000_001);
        assertEq(tasks.taskOf(id, 0).price, 18e6);
    }

    function test_onlyByWhoeverClaimedIt() public {
        bytes32 id = claimed();
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotNode.selector, rival, node));
        tasks.submit(id, 0, someWork());
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 1, TaskStatus.Open));
        tasks.submit(id, 1, someWork());
    }

    function test_onlyInTimeAndOnce() public {
        bytes32 id = claimed();
        uint256 deadline = tasks.taskOf(id, 0).time;
        vm.warp(deadline + 1);
        vm.startPrank(node);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WindowClosed.selector, deadline, deadline + 1));
        tasks.submit(id, 0, someWork());
        vm.warp(deadline);
        tasks.submit(id, 0, someWork());
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 0, TaskStatus.Submitted));
        tasks.submit(id, 0, someWork());
    }

    function test_notNothing() public {
        bytes32 id = claimed();
        vm.startPrank(node);
        Submission memory s = someWork();
        s.adapter = 0;
        vm.expectRevert(ITuningTasks.EmptySubmission.selector);
        tasks.submit(id, 0, s);
        s = someWork();
        s.trace = 0;
        vm.expectRevert(ITuningTasks.EmptySubmission.selector);
        tasks.submit(id, 0, s);
    }
}
