// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelRegistry} from "./IModelRegistry.sol";

/// @notice A holder's model tokens in the governor, in token base units (18 decimals).
struct Holding {
    uint96 locked;
    /// Unlocked, and to be had from `leavesAt` (seconds) on.
    uint96 leaving;
    uint40 leavesAt;
}

/// @notice Where a proposal stands. `votes` are model-token base units.
struct Poll {
    uint64 modelId;
    uint64 epoch;
    uint96 votes;
    bool funded;
}

/// @title ITuningVotes
/// @notice Model tokens locked in the governor, their delegation, and votes.
/// @dev Time runs in epochs; epoch n starts at n · epochLength, for all models. Power is fixed when an epoch starts: a lock, an unlock or a
/// delegation counts from the next one on, and tokens that count in an epoch can't be had before it is over. So nothing that is done once an
/// epoch has begun changes who can vote in it how much, and tokens that are held for a block never vote.
interface ITuningVotes {
    event TokensLocked(uint64 indexed modelId, address indexed holder, uint256 amount, uint256 fromEpoch);
    event TokensUnlocked(uint64 indexed modelId, address indexed holder, uint256 amount, uint256 leavesAt);
    event TokensWithdrawn(uint64 indexed modelId, address indexed holder, uint256 amount);
    event VotesDelegated(uint64 indexed modelId, address indexed holder, address indexed to, uint256 fromEpoch);
    /// `weight` is the voter's whole say on this proposal from now on, `votes` what the proposal has of all.
    event VoteCast(bytes32 indexed proposal, address indexed voter, uint256 weight, uint256 votes);

    error ZeroAmount();
    error SupplyTooLarge(uint256 supply, uint256 limit);
    error InsufficientLocked(uint256 locked, uint256 amount);
    error NothingLeaving(uint64 modelId, address holder);
    error StillLocked(uint256 leavesAt, uint256 time);
    error UnknownProposal(bytes32 proposal);
    error VotingOver(uint256 epoch, uint256 currentEpoch);
    error InsufficientPower(address voter, uint256 power, uint256 needed);

    /// @notice Take `amount` of the caller's model tokens; they vote from the next epoch on, through the caller's delegate.
    function lock(uint64 modelId, uint256 amount) external;

    /// @notice `lock` after an EIP-2612 permit by the caller; a permit that was already used is no obstacle if the allowance stands.
    function lockWithPermit(uint64 modelId, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Take `amount` out of the vote from the next epoch on. It is to be had when this epoch is over; a second call adds to the first and
    /// waits for its own epoch's end.
    function unlock(uint64 modelId, uint256 amount) external;

    /// @notice Send the caller's unlocked tokens back, once their epoch is over.
    function withdraw(uint64 modelId) external returns (uint256 amount);

    /// @notice Have `to` vote with the caller's tokens from the next epoch on; the caller itself, or 0, takes them back. It is not handed on.
    function delegate(uint64 modelId, address to) external;

    /// @notice Put `weight` of the caller's power on a proposal of this epoch, in place of what the caller had put there: 0 takes it back. Split as
    /// you like, change it until the epoch is over.
    function vote(bytes32 proposal, uint256 weight) external;

    function models() external view returns (IModelRegistry);

    /// @notice Length of an epoch, in seconds.
    function epochLength() external view returns (uint40);
    function currentEpoch() external view returns (uint256);
    function holdingOf(uint64 modelId, address holder) external view returns (Holding memory);

    /// @notice Who votes with the holder's tokens, from the next epoch on at the latest.
    function delegateOf(uint64 modelId, address holder) external view returns (address);

    /// @notice What `voter` can put on proposals of `epoch`, its own tokens and those delegated to it. Epochs after the next are as the next.
    function powerOf(uint64 modelId, address voter, uint256 epoch) external view returns (uint256);

    /// @notice What `voter` has put on proposals of `epoch`.
    function usedOf(uint64 modelId, address voter, uint256 epoch) external view returns (uint256);
    function voteOf(bytes32 proposal, address voter) external view returns (uint256);
    function pollOf(bytes32 proposal) external view returns (Poll memory);

    /// @notice Votes that a proposal needs to get anything: a share of the whole supply, which never changes.
    function quorumOf(uint64 modelId) external view returns (uint256);
}
