// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IRandomness} from "./interfaces/IRandomness.sol";
import {
    ITuningGovernor,
    ITuningGovernorPayments,
    GovernorConfig,
    Proposal,
    Epoch,
    Merge
} from "./interfaces/ITuningGovernor.sol";
import {ITuningTasks, ITuningTasksPayments, TuningTerms} from "./interfaces/ITuningTasks.sol";
import {Poll} from "./interfaces/ITuningVotes.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Questions} from "./libraries/Questions.sol";
import {VaultClient} from "./libraries/VaultClient.sol";
import {Assertions} from "./Assertions.sol";
import {TuningVotes} from "./TuningVotes.sol";

/// @title TuningGovernor
/// @notice See ITuningGovernor, which is the specification.
contract TuningGovernor is TuningVotes, Assertions, ITuningGovernor, ReentrancyGuardTransient {
    using SafeCast for uint256;

    uint256 private constant WORD = 32;
    uint256 private constant MERGE_WORDS = 6;
    uint40 private constant MAX_LENGTH = 365 days;

    ITuningTasks private immutable _tasks;
    IRandomness private immutable _randomness;
    uint40 private immutable _reviewWindow;
    uint40 private immutable _closeWindow;
    uint40 private immutable _mergeWindow;
    uint16 private immutable _fullTurnout;
    uint32 private immutable _lossBound;
    uint256 private immutable _tasksTake;

    /// @inheritdoc ITuningGovernor
    mapping(uint64 modelId => uint256) public treasuryOf;

    constructor(GovernorConfig memory c)
        VaultClient(c.vault)
        TuningVotes(c.epochLength, c.quorum)
        Assertions(c.merges)
    {
        if (c.tasks.vault() != c.vault) revert BadConfig("tasks");
        if (c.epochLength == 0 || c.epochLength > MAX_LENGTH) revert BadConfig("epochLength");
        if (c.reviewWindow >= c.epochLength) revert BadConfig("reviewWindow");
        if (c.closeWindow == 0 || c.closeWindow > c.epochLength) revert BadConfig("closeWindow");
        if (c.mergeWindow == 0 || c.mergeWindow > MAX_LENGTH) revert BadConfig("mergeWindow");
        if (c.quorum == 0 || c.quorum > Pricing.BASIS_POINTS) revert BadConfig("quorum");
        if (c.fullTurnout < c.quorum || c.fullTurnout > Pricing.BASIS_POINTS) revert BadConfig("fullTurnout");
        _tasks = c.tasks;
        _randomness = c.randomness;
        _reviewWindow = c.reviewWindow;
        _closeWindow = c.closeWindow;
        _mergeWindow = c.mergeWindow;
        _fullTurnout = c.fullTurnout;
        _lossBound = c.lossBound;
        _tasksTake = c.tasks.longest();
    }

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        bytes4 selector = bytes4(data);
        if (data.length == WORD) _fund(payer, amount, abi.decode(data, (uint64)));
        else if (selector == ITuningGovernorPayments.postMerge.selector) _postMerge(payer, amount, data[4:]);
        else if (selector == ITuningGovernorPayments.challengeMerge.selector) _challengeMerge(payer, amount, data[4:]);
        else revert UnknownCall(selector);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc ITuningGovernor
    function propose(TuningTerms calldata terms) external returns (bytes32 id) {
        models.trainerOf(terms.modelId);
        _tasks.checkTerms(terms);
        uint256 epoch = currentEpoch();
        uint256 until = (epoch + 1) * epochLength - _reviewWindow;
        if (block.timestamp >= until) revert ProposingOver(until, block.timestamp);
        Proposal memory proposal = Proposal(epoch.toUint64(), msg.sender, terms);
        id = keccak256(abi.encode(proposal));
        if (_polls[id].modelId != 0) revert ProposalExists(id);
        _polls[id] = Poll(terms.modelId, proposal.epoch, 0, false);
        _rememberQuorum(terms.modelId);
        emit ProposalMade(id, terms.modelId, proposal.epoch, proposal);
    }

    /// @inheritdoc ITuningGovernor
    function closeEpoch(uint64 modelId, Proposal[] calldata proposals) external nonReentrant returns (uint256 funded) {
        uint256 epoch = currentEpoch() - 1;
        uint256 until = (epoch + 1) * epochLength + _closeWindow;
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        Epoch memory e = _epochs[modelId][epoch];
        if (e.qualified == 0) revert NothingQualified(modelId, epoch);
        if (!e.closed) {
            e.closed = true;
            e.budget = Math.min(treasuryOf[modelId], type(uint72).max).toUint72();
            e.parent = models.latestVersion(modelId);
            e.ticket = _randomness.request();
            emit EpochClosed(modelId, epoch.toUint64(), e.budget, e.qualified, e.parent, e.ticket);
        }
        // Before anything is paid: the guard is not the only thing that keeps a budget from being spent twice.
        uint256[] memory amounts = new uint256[](proposals.length);
        for (uint256 i = 0; i < proposals.length; ++i) {
            amounts[i] = _allot(modelId, epoch, e, proposals[i]);
            if (amounts[i] != 0) ++funded;
        }
        treasuryOf[modelId] -= _sum(amounts);
        e.spent += _sum(amounts).toUint72();
        e.functions += funded.toUint16();
        _epochs[modelId][epoch] = e;
        for (uint256 i = 0; i < proposals.length; ++i) {
            if (amounts[i] == 0) continue;
            bytes32 id = keccak256(abi.encode(proposals[i]));
            emit ProposalFunded(id, modelId, epoch.toUint64(), amounts[i]);
            bytes memory start = abi.encodeCall(ITuningTasksPayments.start, (proposals[i].terms, e.parent, id));
            vault.payAndCall(address(_tasks), amounts[i], start);
        }
    }

    /// @inheritdoc ITuningGovernor
    function finishMerge(uint256 id, Merge calldata merge) external nonReentrant returns (uint32 version) {
        bool stands = _conclude(id, keccak256(abi.encode(merge)));
        Epoch storage e = _epochs[merge.modelId][merge.epoch];
        if (stands && e.version == 0) {
            version = models.publish(merge.modelId, merge.manifest, e.parent, merge.epoch);
            e.version = version;
        }
        emit MergeFinished(id, merge.modelId, merge.epoch, version);
    }

    /// @inheritdoc ITuningGovernor
    function epochOf(uint64 modelId, uint256 epoch) external view returns (Epoch memory) {
        return _epochs[modelId][epoch];
    }

    /// @inheritdoc ITuningGovernor
    function proposalId(Proposal calldata proposal) external pure returns (bytes32) {
        return keccak256(abi.encode(proposal));
    }

    /// @inheritdoc ITuningGovernor
    function mergeFrom(uint256 epoch) public view returns (uint256) {
        return (epoch + 1) * epochLength + _closeWindow + _tasksTake + 1;
    }

    /// @inheritdoc ITuningGovernor
    function overFrom(uint256 epoch) external view returns (uint256) {
        return mergeFrom(epoch) + _mergeWindow + _challengeWindow + _disputeLimit + 1;
    }

    /// @inheritdoc ITuningGovernor
    function governorConfig() external view returns (GovernorConfig memory) {
        return GovernorConfig({
            vault: vault,
            tasks: _tasks,
            randomness: _randomness,
            merges: assertionTerms(),
            epochLength: epochLength,
            reviewWindow: _reviewWindow,
            closeWindow: _closeWindow,
            mergeWindow: _mergeWindow,
            quorum: _quorumShare,
            fullTurnout: _fullTurnout,
            lossBound: _lossBound
        });
    }

    function _fund(address payer, uint256 amount, uint64 modelId) private {
        models.trainerOf(modelId);
        treasuryOf[modelId] += amount;
        emit TreasuryFunded(modelId, payer, amount);
    }

    /// @dev What a proposal gets, now and never again: its part of the budget, cut to a whole number a shard and to its cap.
    function _allot(uint64 modelId, uint256 epoch, Epoch memory e, Proposal calldata proposal)
        private
        returns (uint256)
    {
        Poll storage poll = _polls[keccak256(abi.encode(proposal))];
        if (poll.modelId != modelId || poll.epoch != epoch || poll.funded) return 0;
        uint256 votes = poll.votes;
        uint256 quorum = quorumOf(modelId);
        if (votes < quorum) return 0;
        uint256 among = Math.max(e.qualified, Math.mulDiv(quorum, _fullTurnout, _quorumShare));
        uint256 each = Math.mulDiv(e.budget, votes, among) / proposal.terms.shards;
        each = Math.min(each, proposal.terms.shardCap);
        if (each == 0) return 0;
        poll.funded = true;
        return each * proposal.terms.shards;
    }

    function _postMerge(address poster, uint256 amount, bytes calldata data) private {
        Merge memory merge = abi.decode(data, (Merge));
        if (merge.manifest == 0) revert EmptyManifest();
        Epoch memory e = _epochs[merge.modelId][merge.epoch];
        if (e.functions == 0) revert NothingFunded(merge.modelId, merge.epoch);
        if (e.version != 0) revert AlreadyPublished(merge.modelId, merge.epoch, e.version);
        uint256 from = mergeFrom(merge.epoch);
        if (block.timestamp < from) revert TooEarly(from, block.timestamp);
        if (block.timestamp > from + _mergeWindow) revert WindowClosed(from + _mergeWindow, block.timestamp);
        uint256 id = _post(poster, amount, keccak256(abi.encode(merge)));
        emit MergePosted(id, merge.modelId, merge.epoch, poster, merge.manifest);
    }

    function _challengeMerge(address challenger, uint256 amount, bytes calldata data) private {
        (uint256 id, Merge memory merge) = abi.decode(data, (uint256, Merge));
        Epoch memory e = _epochs[merge.modelId][merge.epoch];
        Questions.Question memory q;
        (q.kind, q.modelId, q.version) = (Questions.MERGE, merge.modelId, e.parent);
        bytes memory evidence =
            abi.encode(merge.modelId, merge.epoch, merge.manifest, uint256(e.parent), e.ticket, _lossBound);
        assert(evidence.length == MERGE_WORDS * WORD);
        _dispute(id, keccak256(abi.encode(merge)), challenger, amount, q, evidence);
    }

    function _sum(uint256[] memory amounts) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < amounts.length; ++i) {
            sum += amounts[i];
        }
    }
}
