// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title IModelToken
/// @notice A share in one model: ERC-20 with EIP-2612 permit, of a supply fixed at registration. All are clones of one implementation,
/// so the permit's EIP-712 name is "Capek model" for each; `eip712Domain()` (ERC-5267) tells it.
interface IModelToken is IERC20 {
    error NotRegistry(address caller, address registry);
    error AlreadyInitialized();

    /// @notice Called once by the registry that deployed the clone; mints the whole supply to `holder`.
    function initialize(string calldata name, string calldata symbol, uint256 supply, address holder) external;
}
