// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IModelToken} from "./interfaces/IModelToken.sol";

/// @title ModelToken
/// @notice See IModelToken, which is the specification.
contract ModelToken is IModelToken, ERC20Permit {
    /// @notice The registry whose clones these are.
    address public immutable registry;
    string private _cloneName;
    string private _cloneSymbol;

    constructor() ERC20("Capek model", "CAPEK") ERC20Permit("Capek model") {
        registry = msg.sender;
    }

    /// @inheritdoc IModelToken
    function initialize(string calldata name_, string calldata symbol_, uint256 supply, address holder) external {
        if (msg.sender != registry) revert NotRegistry(msg.sender, registry);
        if (totalSupply() != 0) revert AlreadyInitialized();
        _cloneName = name_;
        _cloneSymbol = symbol_;
        _mint(holder, supply);
    }

    function name() public view override returns (string memory) {
        return _cloneName;
    }

    function symbol() public view override returns (string memory) {
        return _cloneSymbol;
    }
}
