// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDisputeCourt} from "./interfaces/IDisputeCourt.sol";
import {IEpochRewards} from "./interfaces/IEpochRewards.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IRandomness} from "./interfaces/IRandomness.sol";
import {
    ITuningTasks,
    TasksConfig,
    TaskStatus,
    TuningFunction,
    TuningTask,
    TuningTerms
} from "./interfaces/ITuningTasks.sol";
import {Auction} from "./libraries/Auction.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Questions} from "./libraries/Questions.sol";
import {Sortition} from "./libraries/Sortition.sol";
import {VaultClient} from "./libraries/VaultClient.sol";

/// @title TaskBoard
/// @notice The terms of tuning tasks, what is on offer for how much, and who is drawn to repeat what; no money moves here. See ITuningTasks, which
/// is the specification.
abstract contract TaskBoard is VaultClient, ITuningTasks {
    using SafeCast for uint256;

    uint256 internal constant MAX_SHARDS = 256;
    uint256 internal constant MAX_SEGMENTS = 256;
    /// @dev Candidates drawn for an audit; one of them is enough.
    uint256 private constant AUDITORS = 3;
    uint256 internal constant EVIDENCE_WORDS = 13;
    uint40 private constant MAX_WINDOW = 90 days;
    uint256 private constant MAX_LENGTH = 365 days;

    INodeRegistry internal immutable _nodes;
    IDisputeCourt internal immutable _court;
    IRandomness internal immutable _randomness;
    IEpochRewards internal immutable _rewards;
    uint72 private immutable _minStake;
    uint72 internal immutable _missPenalty;
    uint72 internal immutable _auditStake;
    uint16 internal immutable _auditShare;
    uint16 internal immutable _winnerShare;
    uint8 private immutable _auditSegments;
    uint40 internal immutable _claimWindow;
    uint40 private immutable _riseTime;
    uint40 internal immutable _taskTime;
    uint40 internal immutable _auditWindow;
    uint40 internal immutable _challengeWindow;
    uint40 internal immutable _disputeLimit;

    mapping(bytes32 id => TuningFunction) internal _functions;
    mapping(bytes32 id => mapping(uint256 shard => TuningTask)) internal _tasks;

    constructor(TasksConfig memory c) VaultClient(c.vault) {
        if (c.nodes.vault() != c.vault) revert BadConfig("nodes");
        if (c.rewards.vault() != c.vault) revert BadConfig("rewards");
        if (c.minStake == 0) revert BadConfig("minStake");
        if (c.missPenalty > c.minStake) revert BadConfig("missPenalty");
        if (c.auditShare > Pricing.BASIS_POINTS / 2) revert BadConfig("auditShare");
        if (c.winnerShare > Pricing.BASIS_POINTS / 2) revert BadConfig("winnerShare");
        if (c.auditSegments == 0) revert BadConfig("auditSegments");
        if (c.riseTime == 0 || c.riseTime > c.claimWindow) revert BadConfig("riseTime");
        _checkWindow(c.claimWindow, "claimWindow");
        _checkWindow(c.taskTime, "taskTime");
        _checkWindow(c.auditWindow, "auditWindow");
        _checkWindow(c.challengeWindow, "challengeWindow");
        _checkWindow(c.disputeLimit, "disputeLimit");
        if (address(c.court) != address(0)) {
            if (c.disputeLimit <= c.court.longest()) revert BadConfig("disputeLimit");
            // Being right must pay for all rounds.
            if (Pricing.share(c.minStake, c.winnerShare) < c.court.highestCost()) revert BadConfig("minStake");
        }
        (_nodes, _court, _randomness, _rewards) = (c.nodes, c.court, c.randomness, c.rewards);
        (_minStake, _missPenalty, _auditStake) = (c.minStake, c.missPenalty, c.auditStake);
        (_auditShare, _winnerShare, _auditSegments) = (c.auditShare, c.winnerShare, c.auditSegments);
        (_claimWindow, _riseTime, _taskTime) = (c.claimWindow, c.riseTime, c.taskTime);
        (_auditWindow, _challengeWindow, _disputeLimit) = (c.auditWindow, c.challengeWindow, c.disputeLimit);
        // EpochRewards takes no date further away.
        if (longest() >= MAX_LENGTH) revert BadConfig("longest");
        // A second line: reserved stake can't be thawed.
        if (c.nodes.thawPeriod() <= longest() - c.claimWindow) revert BadConfig("thawPeriod");
    }

    /// @inheritdoc ITuningTasks
    function functionOf(bytes32 id) external view returns (TuningFunction memory) {
        return _functions[id];
    }

    /// @inheritdoc ITuningTasks
    function taskOf(bytes32 id, uint256 shard) external view returns (TuningTask memory) {
        return _tasks[id][shard];
    }

    /// @inheritdoc ITuningTasks
    function priceOf(bytes32 id, uint256 shard) external view returns (uint256) {
        TuningFunction memory f = _functions[id];
        TuningTask memory t = _tasks[id][shard];
        bool abandoned = t.status == TaskStatus.Claimed && block.timestamp > t.time;
        if (f.start == 0 || shard >= f.shards || block.timestamp > f.start + _claimWindow) return 0;
        return t.status == TaskStatus.Open || abandoned ? _price(f, t) : 0;
    }

    /// @inheritdoc ITuningTasks
    function stakeFor(uint256 price, uint256 segments) public view returns (uint256) {
        uint256 repeated = Math.min(segments, _auditSegments);
        return Math.max(_minStake, Auction.stake(price, segments, repeated));
    }

    /// @inheritdoc ITuningTasks
    function auditOf(bytes32 id, uint256 shard)
        public
        view
        returns (uint256[] memory segments, address[] memory nodes)
    {
        TuningTask storage t = _tasks[id][shard];
        if (t.status != TaskStatus.Submitted) revert WrongStatus(id, shard, t.status);
        bytes32 seed = keccak256(abi.encode(_randomness.read(t.ticket), id, shard, t.attempt));
        uint256 count = _functions[id].segments;
        segments = Sortition.pick(seed, count, Math.min(count, _auditSegments));
        nodes = _drawSeats(seed, _functions[id].modelId, t.period);
    }

    /// @inheritdoc ITuningTasks
    function challengeCost() external view returns (uint256) {
        if (address(_court) == address(0)) revert NoCourt();
        return Questions.cost(_court, EVIDENCE_WORDS);
    }

    /// @inheritdoc ITuningTasks
    function checkTerms(TuningTerms memory terms) public pure {
        if (terms.modelId == 0) revert BadTerms("modelId");
        if (terms.program == 0) revert BadTerms("program");
        if (terms.shards == 0 || terms.shards > MAX_SHARDS) revert BadTerms("shards");
        if (terms.segments == 0 || terms.segments > MAX_SEGMENTS) revert BadTerms("segments");
        if (terms.shardCap == 0) revert BadTerms("shardCap");
        if (terms.unitPrice == 0) revert BadTerms("unitPrice");
        if (terms.preferenceShare > Pricing.BASIS_POINTS / 2) revert BadTerms("preferenceShare");
    }

    /// @inheritdoc ITuningTasks
    function functionId(address payer, TuningTerms calldata terms, uint32 version, bytes32 reference_)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(payer, terms, version, reference_));
    }

    /// @inheritdoc ITuningTasks
    function longest() public view returns (uint256) {
        return uint256(_claimWindow) + _taskTime + 2 * uint256(_auditWindow) + _challengeWindow + _disputeLimit;
    }

    /// @inheritdoc ITuningTasks
    function tasksConfig() external view returns (TasksConfig memory) {
        return TasksConfig({
            vault: vault,
            nodes: _nodes,
            court: _court,
            randomness: _randomness,
            rewards: _rewards,
            minStake: _minStake,
            missPenalty: _missPenalty,
            auditStake: _auditStake,
            auditShare: _auditShare,
            winnerShare: _winnerShare,
            auditSegments: _auditSegments,
            claimWindow: _claimWindow,
            riseTime: _riseTime,
            taskTime: _taskTime,
            auditWindow: _auditWindow,
            challengeWindow: _challengeWindow,
            disputeLimit: _disputeLimit
        });
    }

    /// @dev The present pay. After an attempt that failed it goes on from where that one was claimed: whoever claims and lets go gains no higher pay
    /// by it, for a second node or anybody.
    function _price(TuningFunction memory f, TuningTask memory t) internal view returns (uint256) {
        uint256 since = t.attempt == 0 ? f.start : t.time;
        return Auction.price(t.price, f.most, block.timestamp - since, _riseTime);
    }

    /// @dev End of the challenge window of what was submitted at `time`.
    function _challengeableUntil(uint256 time) internal view returns (uint256) {
        return time + 2 * uint256(_auditWindow) + _challengeWindow;
    }

    /// @dev Seats are those of the period before the submission, so none can be taken for it.
    function _seatPeriod() internal view returns (uint32) {
        if (address(_court) == address(0)) return 0;
        return (block.timestamp / _court.periodLength() - 1).toUint32();
    }

    /// @dev Nodes of a few seats of the model, or of all seats where it has none. A submitter's own seat is not left out here: it can't audit itself.
    function _drawSeats(bytes32 seed, uint64 modelId, uint256 period) private view returns (address[] memory nodes) {
        if (address(_court) == address(0)) return nodes;
        uint64 pool = modelId;
        uint256 size = _court.poolSize(pool, 0, period);
        if (size == 0) (pool, size) = (0, _court.poolSize(0, 0, period));
        uint256[] memory places = Sortition.pick(keccak256(abi.encode(seed)), size, Math.min(size, AUDITORS));
        nodes = new address[](places.length);
        for (uint256 i = 0; i < places.length; ++i) {
            nodes[i] = _court.seatOf(_court.poolSeat(pool, 0, places[i], period)).node;
        }
    }

    function _onlyFor(address node) internal view {
        if (msg.sender != node && msg.sender != _nodes.operatorOf(node)) revert NotNode(msg.sender, node);
    }

    function _checkWindow(uint40 window, string memory field) private pure {
        if (window == 0 || window > MAX_WINDOW) revert BadConfig(field);
    }
}
