// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "./IVault.sol";
import {IVaultClient} from "./IVaultClient.sol";
import {IVaultReceiver} from "./IVaultReceiver.sol";
import {IAssertions, AssertionTerms} from "./IAssertions.sol";

/// @notice Money for the consumers whose preferences a function used. Amounts in token base units.
struct Pot {
    /// Who gets back what nobody is owed.
    address refundTo;
    /// From when a root can be posted.
    uint40 from;
    /// Until when can be claimed; 0 while there is no root.
    uint40 claimUntil;
    uint64 modelId;
    uint72 left;
    bytes32 root;
}

/// @notice Who is owed what of a pot, as one says. The tree's leaves are keccak256(bytes.concat(keccak256(abi.encode(pot, index, account, amount, modelFees,
/// preferences)))), its pairs sorted, as in OpenZeppelin's MerkleProof; `list` is the sha2-256 of the leaves written out.
struct RewardRoot {
    bytes32 pot;
    bytes32 root;
    uint256 total;
    bytes32 list;
}

/// @notice How EpochRewards is deployed. Times in seconds.
struct RewardsConfig {
    IVault vault;
    AssertionTerms roots;
    /// How long roots can be posted.
    uint40 postWindow;
    /// How long can be claimed from an accepted one.
    uint40 claimWindow;
}

/// @title IEpochRewards
/// @notice What consumers earn by their preferences. A pot is opened with money; from its date on anyone posts, under bond, the root of who is owed what (see IAssertions); the
/// first that stands is claimed from by proof. Any that is wrong can be challenged while it waits. What is not claimed goes back.
/// @dev A root is computed from public data alone (docs/tuning.md): the preferences that the accepted submissions list, the batches published in log order before the
/// epoch closed, and the JobPaid logs of the answers. A preference earns at most half of the model fees that its two answers paid. On chain this is held against what a
/// leaf itself says that they paid (`2 · amount <= modelFees`, or no claim); that a leaf says the truth is the root's poster's bond.
interface IEpochRewards is IVaultReceiver, IVaultClient, IAssertions {
    /// Preferences counted in this order, from batches that were there before their epoch closed. `root` is over the batch's preferences,
    /// `list` the sha2-256 of the list of them.
    event PreferencesPublished(
        uint64 indexed modelId, address indexed publisher, uint256 count, bytes32 root, bytes32 list
    );
    event PotOpened(
        bytes32 indexed pot,
        address indexed payer,
        uint64 indexed modelId,
        bytes32 reference_,
        uint256 amount,
        uint256 from
    );
    event RootPosted(uint256 indexed id, bytes32 indexed pot, address indexed poster, RewardRoot root);
    event RootAccepted(uint256 indexed id, bytes32 indexed pot, bytes32 root, uint256 claimUntil);
    event RewardClaimed(bytes32 indexed pot, address indexed account, uint256 index, uint256 amount);
    event PotSwept(bytes32 indexed pot, uint256 amount);

    error NotVault(address caller);
    error UnknownCall(bytes4 selector);
    error EmptyPot();
    error PotExists(bytes32 pot);
    error UnknownPot(bytes32 pot);
    error BadDate(uint256 from, uint256 limit);
    error BadRoot(bytes32 root, uint256 total, uint256 left);
    error RootExists(bytes32 pot, bytes32 root);
    error NoRoot(bytes32 pot);
    error AlreadyClaimed(bytes32 pot, uint256 index);
    error AboveHalfTheFees(uint256 amount, uint256 modelFees);
    error BadProof(bytes32 leaf);
    error PotExhausted(uint256 left, uint256 amount);

    /// @notice Announce a batch of signed preferences, by anyone. Nothing is stored: those without two paid answers count for nothing.
    function publishPreferences(uint64 modelId, uint256 count, bytes32 root, bytes32 list) external;

    /// @notice Settle a posted root whose time has come, by anyone; the pot's first that stands is its root.
    function finishRoot(uint256 id, RewardRoot calldata root) external returns (bool accepted);

    /// @notice Pay what a leaf says to its account, by anyone.
    /// @param modelFees What the answers paid in model fees, on which the preferences were; at least twice the amount.
    /// @param preferences The hash of the account's preferences that were used.
    function claim(
        bytes32 pot,
        uint256 index,
        address account,
        uint256 amount,
        uint256 modelFees,
        bytes32 preferences,
        bytes32[] calldata proof
    ) external;

    /// @notice Send back what of a pot is over, by anyone: when no root was accepted in time, or when claiming is over.
    function sweep(bytes32 pot) external returns (uint256 amount);

    function potOf(bytes32 pot) external view returns (Pot memory);

    /// @notice keccak256(abi.encode(payer, reference)).
    function potId(address payer, bytes32 reference_) external pure returns (bytes32);
    function claimed(bytes32 pot, uint256 index) external view returns (bool);

    /// @notice From when a pot can be swept.
    function sweepFrom(bytes32 pot) external view returns (uint256);
    function rewardsConfig() external view returns (RewardsConfig memory);
}

/// @title IEpochRewardsPayments
/// @notice The shapes of `data` for `Vault.payAndCall(rewards, amount, data)`. Never called directly.
interface IEpochRewardsPayments {
    /// @notice Open a pot, by anyone; `amount` is what is in it.
    /// @param from When roots can be posted, in seconds; at most a year away.
    /// @param refundTo Who gets the rest: a contract by payAndCall with abi.encode(modelId), another account by pay.
    function openPot(uint64 modelId, bytes32 reference_, uint40 from, address refundTo) external;

    /// @notice Say who is owed what. `amount` = the root bond.
    function postRoot(RewardRoot calldata root) external;

    /// @notice Say that a posted root is wrong. `amount` = court.bondFor(33).
    function challengeRoot(uint256 id, RewardRoot calldata root) external;
}
