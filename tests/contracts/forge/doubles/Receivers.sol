// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {IVaultReceiver} from "contracts/interfaces/IVaultReceiver.sol";

/// @notice Remembers what it was paid.
contract Receiver is IVaultReceiver {
    address public payer;
    uint256 public amount;
    bytes public data;
    address public caller;

    function onVaultPayment(address payer_, uint256 amount_, bytes calldata data_) external returns (bytes4) {
        (caller, payer, amount, data) = (msg.sender, payer_, amount_, data_);
        return IVaultReceiver.onVaultPayment.selector;
    }
}

/// @notice Answers with the wrong selector.
contract Refuser is IVaultReceiver {
    function onVaultPayment(address, uint256, bytes calldata) external pure returns (bytes4) {
        return 0xdeadbeef;
    }
}

/// @notice Pays on what it is paid, in the same call.
contract Forwarder is IVaultReceiver {
    function onVaultPayment(address, uint256 amount, bytes calldata data) external returns (bytes4) {
        IVault(msg.sender).pay(abi.decode(data, (address)), amount);
        return IVaultReceiver.onVaultPayment.selector;
    }
}

/// @notice While it is being paid, calls whatever it was told to.
contract Intruder is IVaultReceiver {
    address public target;
    bytes public call_;
    bool public succeeded;
    bytes public result;

    function aim(address target_, bytes calldata data) external {
        (target, call_) = (target_, data);
    }

    function onVaultPayment(address, uint256, bytes calldata) external returns (bytes4) {
        (succeeded, result) = target.call(call_);
        return IVaultReceiver.onVaultPayment.selector;
    }

    function run(address target_, bytes calldata data) external {
        (bool ok, bytes memory out) = target_.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(out, 32), mload(out))
            }
        }
    }
}
