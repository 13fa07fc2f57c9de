// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase, INodeRegistry, ITuningTasks, TaskStatus, TuningTask, TuningTerms, T} from "./TuningBase.t.sol";

contract ClaimTest is TuningBase {
    function test_payRisesUntilANodeTakesIt() public {
        bytes32 id = started();
        assertEq(tasks.priceOf(id, 0), 0);
        vm.warp(block.timestamp + T.RISE / 4);
        assertEq(tasks.priceOf(id, 0), MOST / 4);
        uint256 deadline = block.timestamp + T.TASK;
        vm.expectEmit(address(tasks));
        emit ITuningTasks.TaskClaimed(id, 0, node, 1, MOST / 4, 8 * MOST / 4, deadline);
        vm.prank(operator);
        tasks.claim(id, 0, node, MOST / 4);
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.node, node);
        assertEq(t.time, deadline);
        assertEq(t.price, MOST / 4);
        // p = 2/10: 2 · 9e6 · 8/2.
        assertEq(t.stake, 72e6);
        assertEq(stakeReserved(node), 72e6);
        assertEq(tasks.functionOf(id).committed, MOST / 4 + AUDIT_FEE);
        assertEq(tasks.priceOf(id, 0), 0, "taken");
        vm.warp(block.timestamp + T.RISE);
        assertEq(tasks.priceOf(id, 1), MOST, "and no further");
    }

    function test_stakeIsTwiceWhatMakesCheatingLose() public view {
        // With a tenth repeated: (1 − p)/p = 9.
        assertEq(tasks.stakeFor(10e6, 20), 180e6);
        assertEq(tasks.stakeFor(1e6, 3), T.MIN_STAKE);
        // All of it repeated: no need for more.
        assertEq(tasks.stakeFor(1000e6, 2), T.MIN_STAKE);
        assertEq(tasks.stakeFor(1000e6, 1), T.MIN_STAKE);
        // Rounded up.
        assertEq(tasks.stakeFor(100e6 + 1, 3), 100e6 + 1);
    }

    function test_onlyForOnesOwnNode() public {
        bytes32 id = started();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotNode.selector, stranger, node));
        tasks.claim(id, 0, node, 0);
    }

    function test_notBelowWhatTheNodeWants() public {
        bytes32 id = started();
        vm.prank(node);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.PayTooLow.selector, 0, 1));
        tasks.claim(id, 0, node, 1);
    }

    function test_notWithoutStake() public {
        bytes32 id = started();
        vm.prank(stranger);
        registry.setNode(stranger, 0, "");
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector, stranger, address(tasks), modelId, 0, T.MIN_STAKE
            )
        );
        tasks.claim(id, 0, stranger, 0);
    }

    function test_notTwiceAndNotTooLate() public {
        bytes32 id = started();
        claim(id, 0, node);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 0, TaskStatus.Claimed));
        tasks.claim(id, 0, rival, 0);
        uint256 until = tasks.functionOf(id).start + T.CLAIM;
        vm.warp(until + 1);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WindowClosed.selector, until, until + 1));
        tasks.claim(id, 1, rival, 0);
        assertEq(tasks.priceOf(id, 1), 0);
    }

    function test_anAbandonedTaskIsTakenByTheNext() public {
        bytes32 id = claimed();
        uint256 burned = vault.balanceOf(BURNED);
        uint256 deadline = tasks.taskOf(id, 0).time;
        vm.warp(deadline);
        vm.prank(rival);
        vm.expectRevert();
        tasks.claim(id, 0, rival, 0);
        vm.warp(deadline + T.RISE / 8);
        assertEq(tasks.priceOf(id, 0), MOST / 2 + MOST / 8, "goes on from where it was claimed");
        vm.expectEmit(address(tasks));
        emit ITuningTasks.TaskAbandoned(id, 0, node);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.StakeSlashed(id, 0, node, T.MISS, 0, T.MISS);
        claim(id, 0, rival);
        assertEq(vault.balanceOf(BURNED) - burned, T.MISS);
        assertEq(stakeReserved(node), 0);
        assertEq(stakeOf(node), 300e6 - T.MISS);
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.attempt, 2);
        assertEq(t.price, MOST / 2 + MOST / 8);
        assertEq(tasks.functionOf(id).committed, t.price + AUDIT_FEE);
    }

    function test_anyoneMayReopenIt() public {
        bytes32 id = claimed();
        uint256 deadline = tasks.taskOf(id, 0).time;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.TooEarly.selector, deadline + 1, deadline));
        tasks.settle(id, 0);
        vm.warp(deadline + 1);
        vm.prank(stranger);
        tasks.settle(id, 0);
        assertTask(id, TaskStatus.Open);
        assertEq(tasks.functionOf(id).committed, 0);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 0, TaskStatus.Open));
        tasks.settle(id, 0);
    }

    /// @dev Claiming and letting go, again and again, costs each time and never raises the pay faster than waiting would have.
    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_reopeningGainsNothing(uint8 times, uint256 seed) public {
        bytes32 id = started();
        uint256 begin = block.timestamp;
        uint256 rounds = bound(times, 1, 8);
        for (uint256 i = 0; i < rounds; ++i) {
            vm.warp(block.timestamp + bound(seed >> (16 * i) & 0xffff, 1, 2 hours));
            if (block.timestamp > begin + T.CLAIM) return;
            assertLe(tasks.priceOf(id, 0), MOST * (block.timestamp - begin) / T.RISE);
            claim(id, 0, rival);
            vm.warp(tasks.taskOf(id, 0).time + 1);
        }
        tasks.settle(id, 0);
        assertEq(stakeOf(rival), 300e6 - rounds * T.MISS);
        assertEq(stakeReserved(rival), 0);
        assertEq(tasks.functionOf(id).left, AMOUNT * 4 / 5);
    }

    function testFuzz_stakeMakesCheatingLose(uint256 price, uint16 segments) public view {
        price = bound(price, 0, 1e12);
        uint256 n = bound(segments, 1, 256);
        uint256 k = n < 2 ? n : 2;
        uint256 stake = tasks.stakeFor(price, n);
        // Caught with chance k/n and losing the stake, or not and gaining the pay: twice over.
        assertGe(stake * k, 2 * price * (n - k));
        assertGe(stake, T.MIN_STAKE);
    }
}
