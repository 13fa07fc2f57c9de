// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {IRandomness} from "contracts/interfaces/IRandomness.sol";
import {ICourt} from "contracts/interfaces/ICourt.sol";
import {IDisputeCourt} from "contracts/interfaces/IDisputeCourt.sol";
import {AssertionTerms} from "contracts/interfaces/IAssertions.sol";
import {IEpochRewards, RewardsConfig} from "contracts/interfaces/IEpochRewards.sol";
import {ITuningTasks, TasksConfig} from "contracts/interfaces/ITuningTasks.sol";
import {GovernorConfig} from "contracts/interfaces/ITuningGovernor.sol";

/// @notice On what terms the tests tune.
library TuningFixture {
    uint40 internal constant EPOCH = 7 days;
    uint40 internal constant REVIEW = 1 days;
    uint40 internal constant CLOSE = 1 days;
    uint40 internal constant MERGE = 3 days;
    uint16 internal constant QUORUM = 1000;
    uint16 internal constant FULL_TURNOUT = 3000;
    uint72 internal constant BOND = 20e6;
    uint16 internal constant WINNER_SHARE = 4000;
    uint40 internal constant CHALLENGE = 1 days;
    uint40 internal constant DISPUTE = 7 days;
    uint40 internal constant POST = 3 days;
    uint40 internal constant CLAIM_REWARDS = 30 days;

    uint72 internal constant MIN_STAKE = 20e6;
    uint72 internal constant MISS = 1e6;
    uint72 internal constant AUDIT_STAKE = 5e6;
    uint16 internal constant AUDIT_SHARE = 1000;
    uint8 internal constant AUDIT_SEGMENTS = 2;
    uint40 internal constant CLAIM = 3 days;
    uint40 internal constant RISE = 1 days;
    uint40 internal constant TASK = 6 hours;
    uint40 internal constant AUDIT = 1 hours;

    function assertions(ICourt court) internal pure returns (AssertionTerms memory) {
        return AssertionTerms(court, BOND, WINNER_SHARE, CHALLENGE, DISPUTE);
    }

    function rewards(IVault vault, ICourt court) internal pure returns (RewardsConfig memory) {
        return RewardsConfig(vault, assertions(court), POST, CLAIM_REWARDS);
    }

    function tasks(
        IVault vault,
        INodeRegistry nodes,
        IDisputeCourt court,
        IRandomness randomness,
        IEpochRewards rewards_
    ) internal pure returns (TasksConfig memory c) {
        (c.vault, c.nodes, c.court, c.randomness, c.rewards) = (vault, nodes, court, randomness, rewards_);
        (c.minStake, c.missPenalty, c.auditStake) = (MIN_STAKE, MISS, AUDIT_STAKE);
        (c.auditShare, c.winnerShare, c.auditSegments) = (AUDIT_SHARE, WINNER_SHARE, AUDIT_SEGMENTS);
        (c.claimWindow, c.riseTime, c.taskTime) = (CLAIM, RISE, TASK);
        (c.auditWindow, c.challengeWindow, c.disputeLimit) = (AUDIT, CHALLENGE, DISPUTE);
    }

    function governor(IVault vault, ITuningTasks tasks_, ICourt court, IRandomness randomness)
        internal
        pure
        returns (GovernorConfig memory c)
    {
        (c.vault, c.tasks, c.randomness, c.merges) = (vault, tasks_, randomness, assertions(court));
        (c.epochLength, c.reviewWindow, c.closeWindow, c.mergeWindow) = (EPOCH, REVIEW, CLOSE, MERGE);
        (c.quorum, c.fullTurnout, c.lossBound) = (QUORUM, FULL_TURNOUT, 20_000);
    }
}
