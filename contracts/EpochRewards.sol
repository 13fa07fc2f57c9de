// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEpochRewards, IEpochRewardsPayments, Pot, RewardRoot, RewardsConfig} from "./interfaces/IEpochRewards.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Questions} from "./libraries/Questions.sol";
import {Refunds} from "./libraries/Refunds.sol";
import {VaultClient} from "./libraries/VaultClient.sol";
import {Assertions} from "./Assertions.sol";

/// @title EpochRewards
/// @notice See IEpochRewards, which is the specification.
contract EpochRewards is Assertions, IEpochRewards, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using BitMaps for BitMaps.BitMap;

    uint40 private constant MAX_LENGTH = 365 days;

    uint40 private immutable _postWindow;
    uint40 private immutable _claimWindow;

    mapping(bytes32 pot => Pot) private _pots;
    mapping(bytes32 pot => BitMaps.BitMap) private _claimed;

    constructor(RewardsConfig memory c) VaultClient(c.vault) Assertions(c.roots) {
        if (c.postWindow == 0 || c.postWindow > MAX_LENGTH) revert BadConfig("postWindow");
        if (c.claimWindow == 0 || c.claimWindow > MAX_LENGTH) revert BadConfig("claimWindow");
        (_postWindow, _claimWindow) = (c.postWindow, c.claimWindow);
    }

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        bytes4 selector = bytes4(data);
        if (selector == IEpochRewardsPayments.openPot.selector) _openPot(payer, amount, data[4:]);
        else if (selector == IEpochRewardsPayments.postRoot.selector) _postRoot(payer, amount, data[4:]);
        else if (selector == IEpochRewardsPayments.challengeRoot.selector) _challengeRoot(payer, amount, data[4:]);
        else revert UnknownCall(selector);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc IEpochRewards
    function publishPreferences(uint64 modelId, uint256 count, bytes32 root, bytes32 list) external {
        emit PreferencesPublished(modelId, msg.sender, count, root, list);
    }

    /// @inheritdoc IEpochRewards
    function finishRoot(uint256 id, RewardRoot calldata root) external nonReentrant returns (bool accepted) {
        Pot storage pot = _pots[root.pot];
        // One that stands after its pot was swept finds nothing in it.
        accepted = _conclude(id, keccak256(abi.encode(root))) && pot.root == 0 && pot.left != 0;
        if (!accepted) return false;
        (pot.root, pot.claimUntil) = (root.root, _after(_claimWindow));
        emit RootAccepted(id, root.pot, root.root, pot.claimUntil);
    }

    /// @inheritdoc IEpochRewards
    function claim(
        bytes32 pot,
        uint256 index,
        address account,
        uint256 amount,
        uint256 modelFees,
        bytes32 preferences,
        bytes32[] calldata proof
    ) external nonReentrant {
        Pot storage p = _pots[pot];
        if (p.root == 0) revert NoRoot(pot);
        if (block.timestamp > p.claimUntil) revert WindowClosed(p.claimUntil, block.timestamp);
        if (_claimed[pot].get(index)) revert AlreadyClaimed(pot, index);
        if (amount > modelFees / 2) revert AboveHalfTheFees(amount, modelFees);
        bytes32 leaf =
            keccak256(bytes.concat(keccak256(abi.encode(pot, index, account, amount, modelFees, preferences))));
        if (!MerkleProof.verifyCalldata(proof, p.root, leaf)) revert BadProof(leaf);
        if (amount > p.left) revert PotExhausted(p.left, amount);
        _claimed[pot].set(index);
        p.left -= uint72(amount);
        emit RewardClaimed(pot, account, index, amount);
        vault.pay(account, amount);
    }

    /// @inheritdoc IEpochRewards
    function sweep(bytes32 pot) external nonReentrant returns (uint256 amount) {
        Pot storage p = _known(pot);
        uint256 from = sweepFrom(pot);
        if (block.timestamp < from) revert TooEarly(from, block.timestamp);
        amount = p.left;
        p.left = 0;
        emit PotSwept(pot, amount);
        Refunds.giveBack(vault, p.refundTo, p.modelId, amount);
    }

    /// @inheritdoc IEpochRewards
    function potOf(bytes32 pot) external view returns (Pot memory) {
        return _pots[pot];
    }

    /// @inheritdoc IEpochRewards
    function potId(address payer, bytes32 reference_) public pure returns (bytes32) {
        return keccak256(abi.encode(payer, reference_));
    }

    /// @inheritdoc IEpochRewards
    function claimed(bytes32 pot, uint256 index) external view returns (bool) {
        return _claimed[pot].get(index);
    }

    /// @inheritdoc IEpochRewards
    /// @dev Without a root: when the last that could be posted has had its window, its dispute, and a window more for somebody to finish it.
    function sweepFrom(bytes32 pot) public view returns (uint256) {
        Pot storage p = _known(pot);
        if (p.root != 0) return uint256(p.claimUntil) + 1;
        return uint256(p.from) + _postWindow + 2 * uint256(_challengeWindow) + _disputeLimit + 1;
    }

    /// @inheritdoc IEpochRewards
    function rewardsConfig() external view returns (RewardsConfig memory) {
        return RewardsConfig(vault, assertionTerms(), _postWindow, _claimWindow);
    }

    function _openPot(address payer, uint256 amount, bytes calldata data) private {
        (uint64 modelId, bytes32 reference_, uint40 from, address refundTo) =
            abi.decode(data, (uint64, bytes32, uint40, address));
        if (amount == 0) revert EmptyPot();
        uint256 limit = block.timestamp + MAX_LENGTH;
        if (from < block.timestamp || from > limit) revert BadDate(from, limit);
        bytes32 pot = potId(payer, reference_);
        if (_pots[pot].from != 0) revert PotExists(pot);
        _pots[pot] = Pot(refundTo, from, 0, modelId, amount.toUint72(), 0);
        emit PotOpened(pot, payer, modelId, reference_, amount, from);
    }

    function _postRoot(address poster, uint256 amount, bytes calldata data) private {
        RewardRoot memory root = abi.decode(data, (RewardRoot));
        Pot storage pot = _known(root.pot);
        if (block.timestamp < pot.from) revert TooEarly(pot.from, block.timestamp);
        uint256 until = uint256(pot.from) + _postWindow;
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        if (pot.root != 0) revert RootExists(root.pot, pot.root);
        if (root.root == 0 || root.total > pot.left) revert BadRoot(root.root, root.total, pot.left);
        uint256 id = _post(poster, amount, keccak256(abi.encode(root)));
        emit RootPosted(id, root.pot, poster, root);
    }

    function _challengeRoot(address challenger, uint256 amount, bytes calldata data) private {
        (uint256 id, RewardRoot memory root) = abi.decode(data, (uint256, RewardRoot));
        Questions.Question memory q;
        (q.kind, q.modelId) = (Questions.ROOT, _pots[root.pot].modelId);
        _dispute(id, keccak256(abi.encode(root)), challenger, amount, q, abi.encode(root));
    }

    function _known(bytes32 pot) private view returns (Pot storage p) {
        p = _pots[pot];
        if (p.from == 0) revert UnknownPot(pot);
    }
}
