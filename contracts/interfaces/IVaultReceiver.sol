// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IVaultReceiver
/// @notice A contract that can be paid inside the Vault and told, in the same transaction, what for (ERC-1363's shape).
interface IVaultReceiver {
    /// @notice Called by the Vault after `amount` has been moved from `payer` to this contract's ledger account.
    /// @param payer The ledger account that paid.
    /// @param amount Token base units.
    /// @param data What the payment is for; its shape is the receiver's.
    /// @return The selector of this function; anything else undoes the payment.
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external returns (bytes4);
}
