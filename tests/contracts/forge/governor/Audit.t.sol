// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRandomness} from "contracts/interfaces/IRandomness.sol";
import {TuningBase, INodeRegistry, ITuningTasks, TaskStatus, TuningTask, T} from "./TuningBase.t.sol";

contract AuditTest is TuningBase {
    function test_anyoneWhereThereAreNoSeats() public {
        bytes32 id = submitted();
        pass(1 minutes);
        (uint256[] memory segments, address[] memory nodes) = tasks.auditOf(id, 0);
        assertEq(nodes.length, 0);
        assertEq(segments.length, 2);
        assertTrue(segments[0] != segments[1] && segments[0] < 10 && segments[1] < 10);
        uint256 mask = 1 << segments[0] | 1 << segments[1];
        vm.expectEmit(address(tasks));
        emit ITuningTasks.WorkAudited(id, 0, judge, mask, keccak256("report"));
        audit(id, judge);
        assertEq(tasks.taskOf(id, 0).audited, mask);
        assertEq(stakeReserved(judge), T.AUDIT_STAKE);
    }

    function test_notBeforeItsBlock() public {
        bytes32 id = submitted();
        uint64 ticket = tasks.taskOf(id, 0).ticket;
        vm.prank(judge);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.NotYet.selector, ticket, block.number));
        tasks.audit(id, 0, judge, 0);
    }

    function test_drawnSeatsFirst() public {
        tuningCourt.seat(rival);
        bytes32 id = submitted();
        pass(1 minutes);
        (, address[] memory nodes) = tasks.auditOf(id, 0);
        assertEq(nodes.length, 1);
        assertEq(nodes[0], rival);
        uint256 openFrom = tasks.taskOf(id, 0).time + T.AUDIT;
        vm.prank(judge);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotDrawn.selector, judge, openFrom + 1));
        tasks.audit(id, 0, judge, 0);
        uint256 snapshot = vm.snapshotState();
        audit(id, rival);
        vm.revertToState(snapshot);
        vm.warp(openFrom + 1);
        audit(id, judge);
        assertEq(tasks.taskOf(id, 0).auditor, judge);
    }

    function test_seatsOfAllModelsWhereItsOwnHasNone() public {
        tuningCourt.seat(rival);
        tuningCourt.emptyModel();
        bytes32 id = submitted();
        pass(1 minutes);
        (, address[] memory nodes) = tasks.auditOf(id, 0);
        assertEq(nodes[0], rival);
    }

    function test_threeSeatsOfMany() public {
        for (uint256 i = 0; i < 20; ++i) {
            tuningCourt.seat(address(uint160(1000 + i)));
        }
        bytes32 id = submitted();
        pass(1 minutes);
        (, address[] memory nodes) = tasks.auditOf(id, 0);
        assertEq(nodes.length, 3);
        assertTrue(nodes[0] != nodes[1] && nodes[1] != nodes[2] && nodes[0] != nodes[2]);
    }

    function test_notOnesOwnWork() public {
        tuningCourt.seat(node);
        bytes32 id = submitted();
        pass(1 minutes);
        vm.prank(node);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.AuditsItself.selector, node));
        tasks.audit(id, 0, node, 0);
    }

    function test_onceAndInTimeByOnesOwnNode() public {
        bytes32 id = submitted();
        pass(1 minutes);
        uint256 until = tasks.taskOf(id, 0).time + 2 * uint256(T.AUDIT);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotNode.selector, stranger, judge));
        tasks.audit(id, 0, judge, 0);
        uint256 snapshot = vm.snapshotState();
        vm.warp(until + 1);
        vm.prank(judge);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WindowClosed.selector, until, until + 1));
        tasks.audit(id, 0, judge, 0);
        vm.revertToState(snapshot);
        audit(id, judge);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.AlreadyAudited.selector, id, 0, judge));
        tasks.audit(id, 0, rival, 0);
        vm.prank(judge);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 1, TaskStatus.Open));
        tasks.audit(id, 1, judge, 0);
    }

    function test_notWithoutStake() public {
        bytes32 id = submitted();
        pass(1 minutes);
        vm.startPrank(stranger);
        registry.setNode(stranger, 0, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector, stranger, address(tasks), modelId, 0, T.AUDIT_STAKE
            )
        );
        tasks.audit(id, 0, stranger, 0);
    }
}
