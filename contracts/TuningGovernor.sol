// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "./interfaces/IVault.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {ITuningGovernor} from "./interfaces/ITuningGovernor.sol";
import {VaultClient} from "./libraries/VaultClient.sol";
import {ModelRegistry} from "./ModelRegistry.sol";

/// @title TuningGovernor
/// @notice See ITuningGovernor, which is the specification.
contract TuningGovernor is ITuningGovernor, VaultClient {
    /// @inheritdoc ITuningGovernor
    IModelRegistry public immutable models;
    /// @inheritdoc ITuningGovernor
    mapping(uint64 modelId => uint256) public treasuryOf;

    /// @dev It deploys its registry, so that each knows the other from construction on and no owner has to wire them.
    constructor(IVault vault_) VaultClient(vault_) {
        models = new ModelRegistry(address(this));
    }

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        uint64 modelId = abi.decode(data, (uint64));
        models.trainerOf(modelId);
        treasuryOf[modelId] += amount;
        emit TreasuryFunded(modelId, payer, amount);
        return IVaultReceiver.onVaultPayment.selector;
    }
}
