// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {Case} from "contracts/interfaces/ICourt.sol";
import {IDisputable, Ruling} from "contracts/interfaces/IDisputable.sol";

/// @notice Opens whatever it is told to, and takes the ruling as it was made to.
contract Opener is IDisputable {
    enum Manner {
        Takes,
        Reverts,
        BurnsGas,
        CallsBack,
        ReturnsMuch
    }

    IVault private immutable _vault;
    address private immutable _court;
    Manner public manner;
    bytes public callBack;
    bool public calledBack;
    uint256 public told;
    Ruling public ruling;

    constructor(IVault vault, address court) {
        _vault = vault;
        _court = court;
    }

    function behave(Manner manner_, bytes calldata callBack_) external {
        (manner, callBack) = (manner_, callBack_);
    }

    function open(uint256 bond, bytes calldata data) external {
        _vault.payAndCall(_court, bond, data);
    }

    function onRuling(bytes32, Ruling ruling_, uint256) external {
        if (manner == Manner.Reverts) revert();
        if (manner == Manner.BurnsGas) while (true) {}
        if (manner == Manner.CallsBack) (calledBack,) = _court.call(callBack);
        if (manner == Manner.ReturnsMuch) {
            assembly ("memory-safe") {
                // As much as the gas it is given pays for.
                return(0, 280000)
            }
        }
        ++told;
        ruling = ruling_;
    }
}
