// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title DevUSD
/// @notice Play money with USDC's decimals and permit, for local chains alone.
contract DevUSD is ERC20Permit {
    error NotALocalChain(uint256 chainId);
    error FaucetLimit(uint256 amount, uint256 limit);

    /// @notice The most one call of the faucet gives, in base units.
    uint256 public constant FAUCET_LIMIT = 1_000_000e6;

    constructor() ERC20("Development USD", "DevUSD") ERC20Permit("Development USD") {
        if (block.chainid != 31337 && block.chainid != 1337) revert NotALocalChain(block.chainid);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Mint `amount` to `to`; anyone may ask.
    function faucet(address to, uint256 amount) external {
        if (amount > FAUCET_LIMIT) revert FaucetLimit(amount, FAUCET_LIMIT);
        _mint(to, amount);
    }
}
