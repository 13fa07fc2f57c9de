// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";

/// @title Refunds
/// @notice How money that was given for a model goes back to whoever gave it: to a contract with word of which model it is for, as to a treasury;
/// to another account as it is.
library Refunds {
    /// @dev A contract that refuses loses nobody else anything: each refund is a transaction of its own.
    function giveBack(IVault vault, address to, uint64 modelId, uint256 amount) internal {
        if (amount == 0) return;
        if (to.code.length == 0) vault.pay(to, amount);
        else vault.payAndCall(to, amount, abi.encode(modelId));
    }
}
