// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {IVaultClient} from "../interfaces/IVaultClient.sol";

/// @title VaultClient
/// @notice What contracts that live on the Vault share: its address, its EIP-712 domain, and the account that money is burned to.
abstract contract VaultClient is IVaultClient {
    /// @dev Nobody's account: what it holds in the ledger is out of reach for ever.
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IVaultClient
    IVault public immutable vault;
    uint256 private immutable _chainId;
    bytes32 private immutable _domainSeparator;

    constructor(IVault vault_) {
        vault = vault_;
        _chainId = block.chainid;
        _domainSeparator = vault_.domainSeparator();
    }

    /// @dev Signatures made before a chain split must not hold on the new chain.
    function _domain() internal view returns (bytes32) {
        return block.chainid == _chainId ? _domainSeparator : vault.domainSeparator();
    }
}
