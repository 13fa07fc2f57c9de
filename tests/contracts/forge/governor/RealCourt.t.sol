// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, IDisputeCourt, Ruling, Vote} from "../court/CourtBase.t.sol";
import {ITuningTasks} from "contracts/interfaces/ITuningTasks.sol";
import {
    ITuningTasksPayments,
    Outcome,
    Submission,
    TuningTask,
    TuningTerms
} from "contracts/interfaces/ITuningTasks.sol";
import {TuningFixture as T} from "../TuningFixture.sol";

/// @notice The court as it is judges segments: it never looks into its evidence, so a question is a kind of case and nothing else.
contract RealCourtTest is CourtBase {
    ITuningTasks private tasks;
    address private challenger = makeAddr("challenger");

    function setUp() public override {
        super.setUp();
        governor = deployTuning(vault, registry, dc);
        tasks = governor.governorConfig().tasks;
        fund(challenger, 100e6);
        fund(stranger, 100e6);
        seatJudges(0, 20, modelId, 0);
        passPeriods(2);
        stake(node, 100e6);
        vm.prank(node);
        registry.provision(address(tasks), modelId, 100e6);
    }

    function terms() private view returns (TuningTerms memory t) {
        (t.modelId, t.program, t.parameters) = (modelId, keccak256("program"), keccak256("parameters"));
        (t.shards, t.segments, t.shardCap, t.unitPrice) = (1, 4, 100e6, 1e6);
    }

    function work() private pure returns (Submission memory) {
        return Submission(keccak256("adapter"), keccak256("trace"), 0, 5e6);
    }

    function disputed() private returns (bytes32 id, Case memory c) {
        bytes memory start = abi.encodeCall(ITuningTasksPayments.start, (terms(), 0, 0));
        vm.prank(stranger);
        vault.payAndCall(address(tasks), 10e6, start);
        id = tasks.functionId(stranger, terms(), 0, 0);
        vm.warp(block.timestamp + T.RISE / 2);
        vm.startPrank(node);
        tasks.claim(id, 0, node, 0);
        tasks.submit(id, 0, work());
        vm.stopPrank();
        uint256 cost = tasks.challengeCost();
        vm.prank(challenger);
        vault.payAndCall(
            address(tasks), cost, abi.encodeCall(ITuningTasksPayments.challenge, (id, 0, 3, work(), terms(), 0, 0))
        );
        c.subject = keccak256(abi.encode(id, uint256(0), uint256(1), uint256(3)));
        (c.challenger, c.node, c.modelId) = (challenger, node, modelId);
        (c.promptTokens, c.outputTokens, c.maxTokens, c.finish) = (104, 1, 3, 16);
    }

    function test_auditorsAreDrawnFromItsSeats() public {
        (bytes32 id,) = disputed();
        vm.roll(block.number + 3);
        (uint256[] memory segments, address[] memory nodes) = tasks.auditOf(id, 0);
        assertEq(segments.length, 2);
        assertEq(nodes.length, 3);
        for (uint256 i = 0; i < 3; ++i) {
            assertTrue(registry.provisionOf(nodes[i], address(dc), modelId).reserved != 0, "a seat's node");
        }
    }

    function test_aSegmentIsJudged() public {
        (bytes32 id, Case memory c) = disputed();
        bytes32 dispute = dc.disputeId(address(tasks), c);
        drawPanel(dispute);
        vote(dispute, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        uint256 before = vault.balanceOf(challenger);
        dc.close(address(tasks), c);
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.winner, challenger);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.TaskSettled(id, 0, node, Outcome.Wrong, 0);
        tasks.settle(id, 0);
        assertEq(
            vault.balanceOf(challenger) - before,
            NODE_FEE + 8e6,
            "its stake of 20, two fifths; and the node's fee of the bond"
        );
    }

    /// @dev Data that can't be had: every seat says Unable, nothing is decided, the reward is forfeited and no stake.
    function test_unavailableIsUndecided() public {
        (bytes32 id, Case memory c) = disputed();
        bytes32 dispute = dc.disputeId(address(tasks), c);
        drawPanel(dispute);
        vote(dispute, three(Vote.Unable, Vote.Unable, Vote.Unable));
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        dc.close(address(tasks), c);
        assertTrue(tasks.taskOf(id, 0).undecided);
        vm.warp(block.timestamp + 2 * uint256(T.AUDIT) + T.CHALLENGE);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.TaskSettled(id, 0, node, Outcome.Unsettled, 0);
        tasks.settle(id, 0);
        assertEq(registry.provisionOf(node, address(tasks), modelId).amount, 100e6);
    }
}
