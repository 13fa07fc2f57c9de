// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {ICourt, Case} from "contracts/interfaces/ICourt.sol";
import {IVaultReceiver} from "contracts/interfaces/IVaultReceiver.sol";
import {IDisputable, Ruling} from "contracts/interfaces/IDisputable.sol";

/// @notice A court that rules what it is told, in the place of the one to come.
contract CourtDouble is ICourt {
    uint256 public constant BOND = 3e6;

    IVault public immutable vault;
    Case private _lastCase;
    bytes32 public lastPromptHash;
    bytes32 public lastOutputHash;
    uint256 public lastBond;
    uint256 public highestCost;
    /// @dev What the court does in the middle of being paid, as a hostile one might.
    address public callTo;
    bytes public callData;
    bytes public callResult;
    bool public callSucceeded;

    error BondTooSmall(uint256 amount, uint256 bond);

    constructor(IVault vault_) {
        vault = vault_;
    }

    function bondFor(uint256) external pure returns (uint256) {
        return BOND;
    }

    function longest() external pure returns (uint40) {
        return 6 days;
    }

    function costs(uint256 highest) external {
        highestCost = highest;
    }

    function case_() external view returns (Case memory) {
        return _lastCase;
    }

    function callOnPayment(address to, bytes calldata data) external {
        callTo = to;
        callData = data;
    }

    function onVaultPayment(address, uint256 amount, bytes calldata data) external returns (bytes4) {
        if (amount < BOND) revert BondTooSmall(amount, BOND);
        (Case memory found, bytes memory prompt, bytes memory output) = abi.decode(data, (Case, bytes, bytes));
        _lastCase = found;
        lastPromptHash = keccak256(prompt);
        lastOutputHash = keccak256(output);
        lastBond = amount;
        if (callTo != address(0)) (callSucceeded, callResult) = callTo.call(callData);
        return IVaultReceiver.onVaultPayment.selector;
    }

    function rule(IDisputable where, bytes32 subject, Ruling ruling, uint256 courtFee) external {
        where.onRuling(subject, ruling, courtFee);
    }
}
