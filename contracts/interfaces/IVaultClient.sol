// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "./IVault.sol";

/// @title IVaultClient
/// @notice A contract that lives on a Vault.
interface IVaultClient {
    /// @notice The Vault that holds its money, and whose EIP-712 domain it takes messages in.
    function vault() external view returns (IVault);
}
