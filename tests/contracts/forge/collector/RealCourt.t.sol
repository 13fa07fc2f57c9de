// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Case,
    Channel,
    ChannelStatus,
    CollectorBase,
    CollectorConfig,
    DisputeStatus,
    Job,
    NodeReceipt
} from "./CollectorBase.t.sol";
import {CourtBase, Phase, Vote} from "../court/CourtBase.t.sol";

/// @notice The collector before the court that judges the escrow's jobs: its panels ask nothing of who opened the case.
contract RealCourtTest is CollectorBase, CourtBase {
    Channel private channel;
    bytes32 private id;
    uint256 private before;

    function setUp() public override(CollectorBase, CourtBase) {
        super.setUp();
        CollectorConfig memory c = collectorConfig();
        c.court = dc;
        collector = deployCollector(c);
        provide(collector, 100e6);
        seated(20, 0);
        (channel, id) = opened();
        collected(channel, 1e6, 60_000);
        before = vault.balanceOf(client);
    }

    /// @dev Challenged, judged as all three say, and closed at the court by a stranger.
    function judged(Vote vote_) private returns (bytes32 subject) {
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        vm.prank(client);
        vault.payAndCall(address(collector), BOND, data);
        subject = collector.receiptHash(receipt);
        Case memory c;
        (c.subject, c.challenger, c.node, c.modelId, c.version) = (subject, client, node, modelId, job.version);
        (c.promptTokens, c.outputTokens, c.maxTokens) = (job.promptTokens, receipt.outputTokens, job.maxTokens);
        (c.finish, c.seed, c.temperature, c.topP) = (receipt.finish, job.seed, job.temperature, job.topP);
        (c.bitClass, c.secret) = (job.bitClass, SECRET);
        bytes32 dispute = dc.disputeId(address(collector), c);
        drawPanel(dispute);
        vote(dispute, three(vote_, vote_, vote_));
        (,, uint256 until) = dc.phaseOf(dispute);
        vm.warp(until + 1);
        vm.prank(stranger);
        dc.close(address(collector), c);
        collector.closeDispute(channel, subject);
        assertDispute(subject, DisputeStatus.Closed);
        assertEq(vault.balanceOf(address(dc)), 0);
    }

    function test_aCheatThatWasPaidByVoucherIsSlashed() public {
        judged(Vote.Upheld);
        assertChannel(id, ChannelStatus.Closed);
        // The bond's node fee comes back, the seats' fees don't.
        assertEq(vault.balanceOf(client), before - 3 * FEE_PER_SEAT + DEPOSIT + 8e6);
        assertEq(registry.provisionOf(node, address(collector), modelId).amount, 80e6);
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(held(), 0);
    }

    function test_anHonestNodeGoesOn() public {
        judged(Vote.Dismissed);
        assertChannel(id, ChannelStatus.Open);
        assertEq(vault.balanceOf(client), before - BOND);
        assertEq(vault.balanceOf(node), NODE_FEE);
        assertEq(collector.release(one(channel)), 1);
        assertEq(vault.balanceOf(treasurer), 940_000);
    }
}
