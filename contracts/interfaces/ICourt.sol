// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVaultReceiver} from "./IVaultReceiver.sol";

/// @notice A dispute over one answer. Whoever opens it (an IDisputable) has checked every field against the job and its
/// completion, and both hashes against the evidence.
struct Case {
    bytes32 subject;
    address challenger;
    address node;
    uint64 modelId;
    uint32 version;
    uint32 promptTokens;
    uint32 outputTokens;
    uint32 maxTokens;
    uint8 finish;
    uint64 seed;
    uint32 temperature;
    uint32 topP;
    bytes32 bitClass;
    bytes32 secret;
}

/// @title ICourt
/// @notice Opened by `Vault.payAndCall(court, bond, abi.encode(Case, maskedPrompt, maskedOutput))` from the IDisputable contract;
/// the ruling comes back through `IDisputable.onRuling(subject, …)`. The same case is not opened twice; that a subject
/// is not disputed twice is the opener's to see to.
interface ICourt is IVaultReceiver {
    /// @notice The bond for a case with this much evidence, in token base units.
    /// @param tokens Prompt and output tokens together.
    function bondFor(uint256 tokens) external view returns (uint256);

    /// @notice The longest that a dispute can take from its opening to its ruling, all rounds, in seconds.
    function longest() external view returns (uint40);

    /// @notice The most that all rounds of a dispute can cost, in token base units. What an upheld dispute wins must be as much, or it would not be
    /// worth anybody's while to be right.
    function highestCost() external view returns (uint256);
}
