// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVaultClient} from "./IVaultClient.sol";
import {IVaultReceiver} from "./IVaultReceiver.sol";
import {IModelRegistry} from "./IModelRegistry.sol";

/// @title ITuningGovernor
/// @notice Each model's treasury. Paid by `Vault.payAndCall(governor, amount, abi.encode(modelId))`, by anyone.
interface ITuningGovernor is IVaultReceiver, IVaultClient {
    event TreasuryFunded(uint64 indexed modelId, address indexed payer, uint256 amount);

    error NotVault(address caller);

    /// @notice The registry this governor deployed and alone may publish to.
    function models() external view returns (IModelRegistry);

    /// @notice What a model has to spend, in token base units.
    function treasuryOf(uint64 modelId) external view returns (uint256);
}
