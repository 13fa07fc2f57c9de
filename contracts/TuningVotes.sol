// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {ITuningVotes, Holding, Poll} from "./interfaces/ITuningVotes.sol";
import {Epoch} from "./interfaces/ITuningGovernor.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Trace, Traces} from "./libraries/Trace.sol";
import {ModelRegistry} from "./ModelRegistry.sol";

/// @title TuningVotes
/// @notice See ITuningVotes, which is the specification. No money moves here but the models' own tokens.
abstract contract TuningVotes is ITuningVotes {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Traces for Trace;

    /// @inheritdoc ITuningVotes
    IModelRegistry public immutable models;
    /// @inheritdoc ITuningVotes
    uint40 public immutable epochLength;
    uint16 internal immutable _quorumShare;

    mapping(uint64 modelId => mapping(address holder => Holding)) private _holdings;
    mapping(uint64 modelId => mapping(address holder => address)) private _delegates;
    mapping(uint64 modelId => mapping(address voter => Trace)) private _powers;
    mapping(uint64 modelId => mapping(address voter => mapping(uint256 epoch => uint256))) private _used;
    mapping(bytes32 proposal => mapping(address voter => uint256)) private _votes;
    mapping(bytes32 proposal => Poll) internal _polls;
    mapping(uint64 modelId => mapping(uint256 epoch => Epoch)) internal _epochs;
    /// @dev Remembered when the model's first proposal is made: a supply never changes.
    mapping(uint64 modelId => uint256) private _quorums;

    /// @dev Deploys the registry, so that each knows the other from construction on and no owner has to wire them.
    constructor(uint40 epochLength_, uint16 quorumShare_) {
        models = new ModelRegistry(address(this));
        epochLength = epochLength_;
        _quorumShare = quorumShare_;
    }

    /// @inheritdoc ITuningVotes
    function lock(uint64 modelId, uint256 amount) public {
        if (amount == 0) revert ZeroAmount();
        IERC20 token = IERC20(models.tokenOf(modelId));
        // So that no sum of votes outgrows its place.
        uint256 supply = token.totalSupply();
        if (supply > type(uint96).max) revert SupplyTooLarge(supply, type(uint96).max);
        // Bound: the whole supply has 96 bits.
        _holdings[modelId][msg.sender].locked += amount.toUint96();
        _gain(modelId, delegateOf(modelId, msg.sender), amount);
        emit TokensLocked(modelId, msg.sender, amount, currentEpoch() + 1);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc ITuningVotes
    function lockWithPermit(uint64 modelId, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // Whoever copies the permit out of the mempool and sends it first has only granted the same allowance.
        try IERC20Permit(models.tokenOf(modelId)).permit(msg.sender, address(this), amount, deadline, v, r, s) {}
            catch {}
        lock(modelId, amount);
    }

    /// @inheritdoc ITuningVotes
    function unlock(uint64 modelId, uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        Holding storage h = _holdings[modelId][msg.sender];
        if (amount > h.locked) revert InsufficientLocked(h.locked, amount);
        uint40 leavesAt = ((currentEpoch() + 1) * epochLength).toUint40();
        (h.locked, h.leaving, h.leavesAt) = (uint96(h.locked - amount), uint96(h.leaving + amount), leavesAt);
        _lose(modelId, delegateOf(modelId, msg.sender), amount);
        emit TokensUnlocked(modelId, msg.sender, amount, leavesAt);
    }

    /// @inheritdoc ITuningVotes
    function withdraw(uint64 modelId) external returns (uint256 amount) {
        Holding storage h = _holdings[modelId][msg.sender];
        amount = h.leaving;
        if (amount == 0) revert NothingLeaving(modelId, msg.sender);
        if (block.timestamp < h.leavesAt) revert StillLocked(h.leavesAt, block.timestamp);
        h.leaving = 0;
        emit TokensWithdrawn(modelId, msg.sender, amount);
        IERC20(models.tokenOf(modelId)).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc ITuningVotes
    function delegate(uint64 modelId, address to) external {
        address from = delegateOf(modelId, msg.sender);
        _delegates[modelId][msg.sender] = to == msg.sender ? address(0) : to;
        uint256 amount = _holdings[modelId][msg.sender].locked;
        address now_ = delegateOf(modelId, msg.sender);
        if (amount != 0 && from != now_) {
            _lose(modelId, from, amount);
            _gain(modelId, now_, amount);
        }
        emit VotesDelegated(modelId, msg.sender, now_, currentEpoch() + 1);
    }

    /// @inheritdoc ITuningVotes
    function vote(bytes32 proposal, uint256 weight) external {
        Poll storage poll = _polls[proposal];
        (uint64 modelId, uint256 epoch, uint256 votes) = (poll.modelId, poll.epoch, poll.votes);
        if (modelId == 0) revert UnknownProposal(proposal);
        if (epoch != currentEpoch()) revert VotingOver(epoch, currentEpoch());
        uint256 before = _votes[proposal][msg.sender];
        uint256 used = _used[modelId][msg.sender][epoch] - before + weight;
        uint256 power = powerOf(modelId, msg.sender, epoch);
        if (used > power) revert InsufficientPower(msg.sender, power, used);
        _used[modelId][msg.sender][epoch] = used;
        _votes[proposal][msg.sender] = weight;
        uint256 after_ = votes - before + weight;
        poll.votes = after_.toUint96();
        // What is above the quorum is counted as it changes, so that closing need not look at all proposals.
        uint256 quorum = quorumOf(modelId);
        uint256 was = votes >= quorum ? votes : 0;
        uint256 is_ = after_ >= quorum ? after_ : 0;
        if (was != is_) {
            Epoch storage e = _epochs[modelId][epoch];
            e.qualified = (e.qualified - was + is_).toUint96();
        }
        emit VoteCast(proposal, msg.sender, weight, after_);
    }

    /// @inheritdoc ITuningVotes
    function currentEpoch() public view returns (uint256) {
        return block.timestamp / epochLength;
    }

    /// @inheritdoc ITuningVotes
    function holdingOf(uint64 modelId, address holder) external view returns (Holding memory) {
        return _holdings[modelId][holder];
    }

    /// @inheritdoc ITuningVotes
    function delegateOf(uint64 modelId, address holder) public view returns (address) {
        address to = _delegates[modelId][holder];
        return to == address(0) ? holder : to;
    }

    /// @inheritdoc ITuningVotes
    function powerOf(uint64 modelId, address voter, uint256 epoch) public view returns (uint256) {
        return _powers[modelId][voter].at(epoch);
    }

    /// @inheritdoc ITuningVotes
    function usedOf(uint64 modelId, address voter, uint256 epoch) external view returns (uint256) {
        return _used[modelId][voter][epoch];
    }

    /// @inheritdoc ITuningVotes
    function voteOf(bytes32 proposal, address voter) external view returns (uint256) {
        return _votes[proposal][voter];
    }

    /// @inheritdoc ITuningVotes
    function pollOf(bytes32 proposal) external view returns (Poll memory) {
        return _polls[proposal];
    }

    /// @inheritdoc ITuningVotes
    function quorumOf(uint64 modelId) public view returns (uint256 quorum) {
        quorum = _quorums[modelId];
        if (quorum != 0) return quorum;
        uint256 supply = IERC20(models.tokenOf(modelId)).totalSupply();
        quorum = Math.mulDiv(supply, _quorumShare, Pricing.BASIS_POINTS, Math.Rounding.Ceil);
    }

    function _rememberQuorum(uint64 modelId) internal {
        if (_quorums[modelId] == 0) _quorums[modelId] = quorumOf(modelId);
    }

    function _gain(uint64 modelId, address voter, uint256 amount) private {
        Trace storage power = _powers[modelId][voter];
        power.push(currentEpoch() + 1, power.last() + amount);
    }

    function _lose(uint64 modelId, address voter, uint256 amount) private {
        Trace storage power = _powers[modelId][voter];
        power.push(currentEpoch() + 1, power.last() - amount);
    }
}
