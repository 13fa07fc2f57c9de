// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IDisputable, Ruling} from "./interfaces/IDisputable.sol";
import {IEpochRewardsPayments} from "./interfaces/IEpochRewards.sol";
import {
    ITuningTasks,
    ITuningTasksPayments,
    Outcome,
    Submission,
    TasksConfig,
    TaskStatus,
    TuningFunction,
    TuningTask,
    TuningTerms
} from "./interfaces/ITuningTasks.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Questions} from "./libraries/Questions.sol";
import {Refunds} from "./libraries/Refunds.sol";
import {TaskBoard} from "./TaskBoard.sol";

/// @title TuningTasks
/// @notice See ITuningTasks, which is the specification.
contract TuningTasks is TaskBoard, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @dev Where a ruling belongs. An attempt that is over is told by its number.
    struct SegmentDispute {
        address challenger;
        uint32 attempt;
        uint16 shard;
        uint16 segment;
        bool ruled;
        bytes32 id;
    }

    struct Challenge {
        bytes32 id;
        uint256 shard;
        uint256 segment;
        Submission submission;
        TuningTerms terms;
        uint32 version;
        bytes32 reference_;
    }

    mapping(bytes32 subject => SegmentDispute) private _disputes;

    constructor(TasksConfig memory c) TaskBoard(c) {}

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        bytes4 selector = bytes4(data);
        if (selector == ITuningTasksPayments.start.selector) _start(payer, amount, data[4:]);
        else if (selector == ITuningTasksPayments.challenge.selector) _challenge(payer, amount, data[4:]);
        else revert UnknownCall(selector);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc IDisputable
    function onRuling(bytes32 subject, Ruling ruling, uint256 courtFee) external {
        if (msg.sender != address(_court)) revert NotCourt(msg.sender);
        SegmentDispute storage d = _disputes[subject];
        if (d.challenger == address(0) || d.ruled) return;
        d.ruled = true;
        TuningTask storage t = _tasks[d.id][d.shard];
        if (t.attempt != d.attempt || t.status != TaskStatus.Submitted) return;
        if (block.timestamp > _challengeableUntil(t.time) + _disputeLimit) return;
        // Bound: counted when it was opened, and ruled once.
        unchecked {
            --t.openDisputes;
        }
        if (ruling == Ruling.Upheld && t.winner == address(0)) {
            (t.winner, t.wrongSegment) = (d.challenger, d.segment);
            t.courtFee = uint72(Math.min(courtFee, type(uint72).max));
        } else if (ruling != Ruling.Dismissed) {
            t.undecided = true;
        }
        emit SegmentRuled(subject, ruling);
    }

    /// @inheritdoc ITuningTasks
    function claim(bytes32 id, uint256 shard, address node, uint256 leastPay) external nonReentrant {
        (TuningFunction storage f, TuningTask storage t) = _known(id, shard);
        _onlyFor(node);
        uint256 until = uint256(f.start) + _claimWindow;
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        if (t.status == TaskStatus.Claimed && block.timestamp > t.time) _reopen(id, shard, f, t);
        if (t.status != TaskStatus.Open) revert WrongStatus(id, shard, t.status);
        uint256 price = _price(f, t);
        if (price < leastPay) revert PayTooLow(price, leastPay);
        uint256 stake = stakeFor(price, f.segments);
        uint40 deadline = (block.timestamp + _taskTime).toUint40();
        (t.node, t.time, t.status) = (node, deadline, TaskStatus.Claimed);
        (t.price, t.stake) = (price.toUint72(), stake.toUint72());
        // Bound: a task has less than one attempt a second of its claim window.
        uint256 attempt = ++t.attempt;
        f.committed += (price + f.auditFee).toUint72();
        emit TaskClaimed(id, shard, node, attempt, price, stake, deadline);
        _nodes.reserve(node, f.modelId, stake);
    }

    /// @inheritdoc ITuningTasks
    function submit(bytes32 id, uint256 shard, Submission calldata submission) external nonReentrant {
        (TuningFunction storage f, TuningTask storage t) = _known(id, shard);
        if (t.status != TaskStatus.Claimed) revert WrongStatus(id, shard, t.status);
        _onlyFor(t.node);
        if (block.timestamp > t.time) revert WindowClosed(t.time, block.timestamp);
        if (submission.adapter == 0 || submission.trace == 0) revert EmptySubmission();
        uint256 pay = Math.min(t.price, Math.mulDiv(submission.units, f.unitPrice, Pricing.PER));
        (t.time, t.status, t.pay) = (uint40(block.timestamp), TaskStatus.Submitted, uint72(pay));
        t.submission = keccak256(abi.encode(submission));
        (t.ticket, t.period) = (_randomness.request(), _seatPeriod());
        emit WorkSubmitted(id, shard, t.node, t.attempt, submission, pay, t.ticket);
    }

    /// @inheritdoc ITuningTasks
    function audit(bytes32 id, uint256 shard, address node, bytes32 report) external nonReentrant {
        (TuningFunction storage f, TuningTask storage t) = _known(id, shard);
        (uint256[] memory segments, address[] memory drawn) = auditOf(id, shard);
        _onlyFor(node);
        if (node == t.node) revert AuditsItself(node);
        if (t.auditor != address(0)) revert AlreadyAudited(id, shard, t.auditor);
        uint256 openFrom = uint256(t.time) + _auditWindow;
        uint256 until = openFrom + _auditWindow;
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        if (block.timestamp <= openFrom && drawn.length != 0 && !_isIn(node, drawn)) {
            revert NotDrawn(node, openFrom + 1);
        }
        uint256 mask = 0;
        for (uint256 i = 0; i < segments.length; ++i) {
            mask |= 1 << segments[i];
        }
        (t.auditor, t.audited) = (node, mask);
        emit WorkAudited(id, shard, node, mask, report);
        _nodes.reserve(node, f.modelId, _auditStake);
    }

    /// @inheritdoc ITuningTasks
    function settle(bytes32 id, uint256 shard) external nonReentrant {
        (TuningFunction storage f, TuningTask storage t) = _known(id, shard);
        if (t.status == TaskStatus.Claimed) {
            if (block.timestamp <= t.time) revert TooEarly(uint256(t.time) + 1, block.timestamp);
            return _reopen(id, shard, f, t);
        }
        if (t.status != TaskStatus.Submitted) revert WrongStatus(id, shard, t.status);
        Outcome outcome = _outcome(t);
        (address node, address auditor, uint64 modelId) = (t.node, t.auditor, f.modelId);
        uint256 pay = outcome == Outcome.Paid ? t.pay : 0;
        f.committed -= t.price + f.auditFee;
        emit TaskSettled(id, shard, node, outcome, pay);
        if (outcome == Outcome.Paid) {
            t.status = TaskStatus.Accepted;
            f.left -= (pay + f.auditFee).toUint72();
            _nodes.release(node, modelId, t.stake);
            _nodes.release(auditor, modelId, _auditStake);
            if (pay != 0) vault.pay(node, pay);
            if (f.auditFee != 0) vault.pay(auditor, f.auditFee);
            return;
        }
        TuningTask memory was = t;
        _clear(t, block.timestamp);
        bool lied = outcome == Outcome.Wrong && was.audited >> was.wrongSegment & 1 != 0;
        if (outcome == Outcome.Wrong) _slash(id, shard, node, modelId, was, was.stake);
        else if (outcome == Outcome.Unaudited) _miss(id, shard, node, modelId, was.stake);
        else _nodes.release(node, modelId, was.stake);
        if (lied) _slash(id, shard, auditor, modelId, was, _auditStake);
        else if (auditor != address(0)) _nodes.release(auditor, modelId, _auditStake);
    }

    /// @inheritdoc ITuningTasks
    function sweep(bytes32 id) external nonReentrant returns (uint256 amount) {
        (TuningFunction storage f,) = _known(id, 0);
        uint256 until = uint256(f.start) + _claimWindow;
        if (block.timestamp <= until) revert TooEarly(until + 1, block.timestamp);
        amount = f.left - f.committed;
        f.left = f.committed;
        emit FunctionSwept(id, amount);
        Refunds.giveBack(vault, f.payer, f.modelId, amount);
    }

    function _start(address payer, uint256 amount, bytes calldata data) private {
        (TuningTerms memory terms, uint32 version, bytes32 reference_) =
            abi.decode(data, (TuningTerms, uint32, bytes32));
        checkTerms(terms);
        if (amount < terms.shards) revert AmountTooSmall(amount, terms.shards);
        bytes32 id = keccak256(abi.encode(payer, terms, version, reference_));
        TuningFunction storage f = _functions[id];
        if (f.start != 0) revert FunctionExists(id);
        uint256 preferences = Pricing.share(amount, terms.preferenceShare);
        uint256 pot = (amount - preferences) / terms.shards;
        uint256 fee = Pricing.share(pot, _auditShare);
        (f.payer, f.start, f.shards, f.segments) = (payer, uint40(block.timestamp), terms.shards, terms.segments);
        (f.modelId, f.most, f.auditFee) = (terms.modelId, (pot - fee).toUint72(), fee.toUint72());
        (f.unitPrice, f.left) = (terms.unitPrice, (amount - preferences).toUint72());
        emit FunctionStarted(id, payer, reference_, version, terms, amount, preferences);
        if (preferences == 0) return;
        uint40 from = (block.timestamp + longest() + 1).toUint40();
        bytes memory open = abi.encodeCall(IEpochRewardsPayments.openPot, (terms.modelId, id, from, payer));
        vault.payAndCall(address(_rewards), preferences, open);
    }

    function _challenge(address challenger, uint256 amount, bytes calldata data) private {
        if (address(_court) == address(0)) revert NoCourt();
        Challenge memory c = abi.decode(data, (Challenge));
        (TuningFunction storage f, TuningTask storage t) = _known(c.id, c.shard);
        if (t.status != TaskStatus.Submitted) revert WrongStatus(c.id, c.shard, t.status);
        bytes32 found = keccak256(abi.encode(c.submission));
        if (found != t.submission) revert WrongSubmission(found, t.submission);
        found = keccak256(abi.encode(f.payer, c.terms, c.version, c.reference_));
        if (found != c.id) revert WrongTerms(found, c.id);
        uint256 until = _challengeableUntil(t.time);
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        if (c.segment >= f.segments) revert BadSegment(c.segment, f.segments);
        if (t.challenged >> c.segment & 1 != 0) revert AlreadyChallenged(c.segment);
        t.challenged |= 1 << c.segment;
        ++t.openDisputes;
        bytes32 subject = keccak256(abi.encode(c.id, c.shard, t.attempt, c.segment));
        _disputes[subject] = SegmentDispute(challenger, t.attempt, uint16(c.shard), uint16(c.segment), false, c.id);
        emit SegmentChallenged(c.id, c.shard, challenger, c.segment, subject);
        Questions.Question memory q = Questions.Question({
            kind: Questions.SEGMENT,
            subject: subject,
            challenger: challenger,
            author: t.node,
            modelId: c.terms.modelId,
            version: c.version,
            part: uint32(c.segment)
        });
        Questions.ask(vault, _court, amount, q, _evidence(c));
    }

    /// @dev All that names the segment and its work; EVIDENCE_WORDS words.
    function _evidence(Challenge memory c) private pure returns (bytes memory) {
        TuningTerms memory terms = c.terms;
        Submission memory s = c.submission;
        bytes memory work = abi.encode(s.adapter, s.trace, s.preferences, uint256(s.units));
        return bytes.concat(
            abi.encode(c.id, c.reference_, terms.program, terms.parameters, uint256(terms.modelId), uint256(c.version)),
            abi.encode(c.shard, uint256(terms.shards), uint256(terms.segments)),
            work
        );
    }

    /// @dev How a submission ends, if it can end now. An undecided dispute leaves it unpaid: so ends one about data that can't be had.
    function _outcome(TuningTask storage t) private view returns (Outcome) {
        if (t.winner != address(0)) return Outcome.Wrong;
        uint256 until = _challengeableUntil(t.time);
        bool unaudited = t.auditor == address(0) && !t.undecided;
        if (t.openDisputes != 0) until += _disputeLimit;
        // Nothing to wait for: it can't be paid any more, and others want the task.
        else if (unaudited) until -= _challengeWindow;
        if (block.timestamp <= until) revert TooEarly(until + 1, block.timestamp);
        if (t.undecided || t.openDisputes != 0) return Outcome.Unsettled;
        return unaudited ? Outcome.Unaudited : Outcome.Paid;
    }

    function _reopen(bytes32 id, uint256 shard, TuningFunction storage f, TuningTask storage t) private {
        (address node, uint256 stake, uint40 since) = (t.node, t.stake, t.time);
        f.committed -= t.price + f.auditFee;
        _clear(t, since);
        emit TaskAbandoned(id, shard, node);
        _miss(id, shard, node, f.modelId, stake);
    }

    /// @dev A task that was held up for nothing. What is burned is nobody's gain, so nobody wants another's task to fail.
    function _miss(bytes32 id, uint256 shard, address node, uint64 modelId, uint256 stake) private {
        uint256 taken = _nodes.slash(node, modelId, _missPenalty);
        _nodes.release(node, modelId, stake - _missPenalty);
        emit StakeSlashed(id, shard, node, taken, 0, taken);
        vault.pay(BURNED, taken);
    }

    /// @dev Open again since `time`; the pay goes on from where it was, and the attempts are counted.
    function _clear(TuningTask storage t, uint256 time) private {
        (t.node, t.time, t.status) = (address(0), uint40(time), TaskStatus.Open);
        (t.stake, t.pay, t.openDisputes, t.undecided) = (0, 0, 0, false);
        (t.auditor, t.winner, t.courtFee, t.wrongSegment) = (address(0), address(0), 0, 0);
        (t.audited, t.challenged, t.submission) = (0, 0, 0);
    }

    /// @dev The challenger gets its share, of which the court what it asked for; the rest is burned.
    function _slash(bytes32 id, uint256 shard, address node, uint64 modelId, TuningTask memory was, uint256 stake)
        private
    {
        uint256 taken = _nodes.slash(node, modelId, stake);
        uint256 won = Pricing.share(taken, _winnerShare);
        // The court is paid once, out of the node's stake.
        uint256 toCourt = node == was.node ? Math.min(was.courtFee, won) : 0;
        emit StakeSlashed(id, shard, node, taken, won, taken - won);
        vault.pay(BURNED, taken - won);
        vault.pay(was.winner, won - toCourt);
        if (toCourt != 0) vault.pay(address(_court), toCourt);
    }

    function _known(bytes32 id, uint256 shard) private view returns (TuningFunction storage f, TuningTask storage t) {
        f = _functions[id];
        if (f.start == 0) revert UnknownFunction(id);
        if (shard >= f.shards) revert UnknownShard(shard, f.shards);
        t = _tasks[id][shard];
    }

    function _isIn(address node, address[] memory nodes) private pure returns (bool) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            if (nodes[i] == node) return true;
        }
        return false;
    }
}
