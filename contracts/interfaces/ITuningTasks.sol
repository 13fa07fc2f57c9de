// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "./IVault.sol";
import {IVaultClient} from "./IVaultClient.sol";
import {IVaultReceiver} from "./IVaultReceiver.sol";
import {INodeRegistry} from "./INodeRegistry.sol";
import {IRandomness} from "./IRandomness.sol";
import {IDisputable, Ruling} from "./IDisputable.sol";
import {IDisputeCourt} from "./IDisputeCourt.sol";
import {IEpochRewards} from "./IEpochRewards.sol";

/// @notice A tuning function and what it may cost. Amounts in token base units.
struct TuningTerms {
    uint64 modelId;
    /// sha2-256 of the WebAssembly module, and of its parameters, whatever bytes the function reads: a CIDv1(raw, sha2-256) each.
    bytes32 program;
    bytes32 parameters;
    /// Tasks, 1 to 256; each works on its own share of the data.
    uint16 shards;
    /// Into how many segments, 1 to 256, a shard's trace is cut: the unit of repeating and of disputes. Segment i of n has the steps from floor(i·S/n)
    /// to before floor((i+1)·S/n), S being the function's steps.
    uint16 segments;
    /// Most that a shard may cost, audit and preferences included.
    uint72 shardCap;
    /// Most that is paid per million metered units of work (docs/tuning-functions.md).
    uint64 unitPrice;
    /// Part of the money that goes to the consumers whose preferences are used, in basis points, at most 5,000.
    uint16 preferenceShare;
}

/// @notice What a node hands in. Digests are sha2-256.
struct Submission {
    /// Of the LoRA adapter's file, whose CID stands in the trace's index.
    bytes32 adapter;
    /// Of the trace's index, a CIDv1(raw, sha2-256): its segments' digests and checkpoints, which the node must serve until the task is settled.
    bytes32 trace;
    /// The list of preferences that were read.
    bytes32 preferences;
    /// Metered units of work.
    uint64 units;
}

/// @notice Where a task stands. An abandoned or failed one is Open again.
enum TaskStatus {
    Open,
    Claimed,
    Submitted,
    Accepted
}

/// @notice How a submission ended. Wrong: a segment that was repeated differs. Unsettled: a dispute ended undecided, which is how one about data
/// that can't be had ends. Unaudited: nobody repeated a segment in time, as when nobody could have it; that is as if the task had been abandoned.
enum Outcome {
    Paid,
    Wrong,
    Unsettled,
    Unaudited
}

/// @notice A function that was started. Amounts in token base units.
struct TuningFunction {
    address payer;
    uint40 start;
    uint16 shards;
    uint16 segments;
    uint64 modelId;
    /// Most that a shard's node can be paid, and what its auditor is.
    uint72 most;
    uint72 auditFee;
    uint64 unitPrice;
    /// What is held for it, and what of that claimed tasks may still cost.
    uint72 left;
    uint72 committed;
}

/// @notice One shard of a function. Masks have bit i for segment i.
struct TuningTask {
    address node;
    /// Open: since when. Claimed: the deadline. Submitted: when it was.
    uint40 time;
    TaskStatus status;
    uint32 attempt;
    /// What it was claimed for; once Open again, from where the pay rises.
    uint72 price;
    uint72 stake;
    /// What the submission earns: the price, or less by its units.
    uint72 pay;
    uint16 openDisputes;
    bool undecided;
    bytes32 submission;
    address auditor;
    uint64 ticket;
    uint32 period;
    /// Of the first challenge that was upheld.
    address winner;
    uint72 courtFee;
    uint16 wrongSegment;
    uint256 audited;
    uint256 challenged;
}

/// @notice How TuningTasks is deployed. Amounts in token base units, times in seconds, shares in basis points.
struct TasksConfig {
    IVault vault;
    INodeRegistry nodes;
    /// For disputes, and for the seats that auditors are drawn from. Zero until there is one: a challenge then reverts, and anyone audits.
    IDisputeCourt court;
    IRandomness randomness;
    IEpochRewards rewards;
    /// Least stake behind a claim.
    uint72 minStake;
    /// What of it is burned when a task is abandoned, or what was submitted could not be audited.
    uint72 missPenalty;
    /// Stake behind an audit.
    uint72 auditStake;
    /// The auditor's part of what a shard may cost.
    uint16 auditShare;
    /// The challenger's part of what is slashed, at most 5,000; the rest is burned.
    uint16 winnerShare;
    /// How many segments an audit repeats.
    uint8 auditSegments;
    /// How long after its start a function's tasks can be claimed.
    uint40 claimWindow;
    /// How long pay takes to rise from nothing to its most.
    uint40 riseTime;
    /// How long a node may work on a task.
    uint40 taskTime;
    /// How long drawn seats alone may audit; as long again anyone may.
    uint40 auditWindow;
    /// How long can be challenged after that.
    uint40 challengeWindow;
    /// After this long without a ruling a dispute ends undecided. Longer than the court can take.
    uint40 disputeLimit;
}

/// @title ITuningTasks
/// @notice Tuning functions as tasks for nodes. Anyone starts one with money, `Vault.payAndCall(tasks, amount, start(…))`: the TuningGovernor
/// with a model's, or whoever likes with their own; what is not spent goes back to whoever paid.
/// @dev A shard's life: its pay rises from nothing until a node claims it (stake is reserved) → the node submits before its deadline → a block
/// that was not there yet draws which segments are repeated and three seats, one of whose nodes repeats them and reports (after a while: any node) → until
/// the challenge window ends anyone may have any segment judged by the court → settled. An abandoned or failed task is open again, as long as
/// tasks can be claimed. Every phase ends by time; nothing needs a keeper.
///
/// Stake = 2 · price · (1 − p) / p, p = auditSegments / segments the share that is repeated, at least minStake: twice what makes cheating in one segment
/// lose on average.
interface ITuningTasks is IVaultReceiver, IVaultClient, IDisputable {
    /// `amount` is all that came, `preferences` what of it went to EpochRewards, in a pot named after the function.
    event FunctionStarted(
        bytes32 indexed id,
        address indexed payer,
        bytes32 indexed reference_,
        uint32 version,
        TuningTerms terms,
        uint256 amount,
        uint256 preferences
    );
    event TaskClaimed(
        bytes32 indexed id,
        uint256 indexed shard,
        address indexed node,
        uint256 attempt,
        uint256 price,
        uint256 stake,
        uint256 deadline
    );
    event TaskAbandoned(bytes32 indexed id, uint256 indexed shard, address indexed node);
    event WorkSubmitted(
        bytes32 indexed id,
        uint256 indexed shard,
        address indexed node,
        uint256 attempt,
        Submission submission,
        uint256 pay,
        uint64 ticket
    );
    /// `report` is the sha2-256 of what the auditor measured.
    event WorkAudited(
        bytes32 indexed id, uint256 indexed shard, address indexed auditor, uint256 segments, bytes32 report
    );
    event SegmentChallenged(
        bytes32 indexed id, uint256 indexed shard, address indexed challenger, uint256 segment, bytes32 subject
    );
    event SegmentRuled(bytes32 indexed subject, Ruling ruling);
    event TaskSettled(bytes32 indexed id, uint256 indexed shard, address indexed node, Outcome outcome, uint256 pay);
    event StakeSlashed(
        bytes32 indexed id, uint256 indexed shard, address indexed node, uint256 taken, uint256 paid, uint256 burned
    );
    event FunctionSwept(bytes32 indexed id, uint256 amount);

    error NotVault(address caller);
    error NotCourt(address caller);
    error NoCourt();
    error NotNode(address caller, address node);
    error BadConfig(string field);
    error BadTerms(string field);
    error UnknownCall(bytes4 selector);
    error AmountTooSmall(uint256 amount, uint256 shards);
    error FunctionExists(bytes32 id);
    error UnknownFunction(bytes32 id);
    error UnknownShard(uint256 shard, uint256 shards);
    error WrongStatus(bytes32 id, uint256 shard, TaskStatus status);
    error PayTooLow(uint256 price, uint256 wanted);
    error TooEarly(uint256 from, uint256 time);
    error WindowClosed(uint256 until, uint256 time);
    error EmptySubmission();
    error WrongSubmission(bytes32 found, bytes32 expected);
    error WrongTerms(bytes32 found, bytes32 expected);
    error AuditsItself(address node);
    error AlreadyAudited(bytes32 id, uint256 shard, address auditor);
    error NotDrawn(address node, uint256 openFrom);
    error BadSegment(uint256 segment, uint256 segments);
    error AlreadyChallenged(uint256 segment);

    /// @notice Take a shard for `node`, by it or its operator, at the present pay. Reserves the stake for it. Frees an abandoned one first.
    /// @param leastPay Reverts when the pay is less: a task may have been re-opened meanwhile.
    function claim(bytes32 id, uint256 shard, address node, uint256 leastPay) external;

    /// @notice Hand in the work, by the node that claimed it or its operator, before the deadline. Serve the trace from then on.
    function submit(bytes32 id, uint256 shard, Submission calldata submission) external;

    /// @notice Say that the drawn segments were repeated and agree, for `node`, by it or its operator; reserves auditStake until the task is settled,
    /// and forfeits it when one of these segments turns out to differ. A segment that differs, or that can't be had, is not reported: it is challenged.
    function audit(bytes32 id, uint256 shard, address node, bytes32 report) external;

    /// @notice End what is over, by anyone: pay or fail a submission, or re-open an abandoned task.
    function settle(bytes32 id, uint256 shard) external;

    /// @notice Send what can't be needed any more back to whoever paid, by anyone, once no task can be claimed any more. May be repeated.
    function sweep(bytes32 id) external returns (uint256 amount);

    function functionOf(bytes32 id) external view returns (TuningFunction memory);
    function taskOf(bytes32 id, uint256 shard) external view returns (TuningTask memory);

    /// @notice What a node that claimed the shard now would be paid at most; 0 when it can't be claimed.
    function priceOf(bytes32 id, uint256 shard) external view returns (uint256);

    /// @notice The stake behind a claim at `price`.
    function stakeFor(uint256 price, uint256 segments) external view returns (uint256);

    /// @notice What is to be repeated of a submission, and by whose seats. Reverts with IRandomness.NotYet until the block is there.
    /// @param nodes Empty when there are no seats: then any node may audit at once.
    function auditOf(bytes32 id, uint256 shard)
        external
        view
        returns (uint256[] memory segments, address[] memory nodes);

    /// @notice What challenging a segment costs.
    function challengeCost() external view returns (uint256);

    /// @notice Reverts for terms that can't be started.
    function checkTerms(TuningTerms calldata terms) external pure;

    /// @notice keccak256(abi.encode(payer, terms, version, reference)).
    function functionId(address payer, TuningTerms calldata terms, uint32 version, bytes32 reference_)
        external
        pure
        returns (bytes32);

    /// @notice The longest from a function's start to the end of its last task, in seconds.
    function longest() external view returns (uint256);
    function tasksConfig() external view returns (TasksConfig memory);
}

/// @title ITuningTasksPayments
/// @notice The shapes of `data` for `Vault.payAndCall(tasks, amount, data)`. Never called directly.
interface ITuningTasksPayments {
    /// @notice Start a function. What can't be split evenly over the shards waits for `sweep`.
    /// @param version The version that is tuned.
    /// @param reference_ What the payer knows it by; the same payer, terms, version and reference can't be started twice.
    function start(TuningTerms calldata terms, uint32 version, bytes32 reference_) external;

    /// @notice Have a segment judged, within the challenge window. `amount` = challengeCost(). Each segment once a submission.
    function challenge(
        bytes32 id,
        uint256 shard,
        uint256 segment,
        Submission calldata submission,
        TuningTerms calldata terms,
        uint32 version,
        bytes32 reference_
    ) external;
}
