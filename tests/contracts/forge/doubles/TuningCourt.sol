// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {Seat} from "contracts/interfaces/ICourtSeats.sol";
import {CourtDouble} from "./CourtDouble.sol";

/// @notice A court that rules what it is told, with seats in it as it is told.
contract TuningCourt is CourtDouble {
    uint40 public constant periodLength = 1 hours;

    address[] public sitting;
    uint64 public immutable modelId;
    bool public modelHasSeats = true;
    uint256 public lastPeriod;

    constructor(IVault vault_, uint64 modelId_) CourtDouble(vault_) {
        modelId = modelId_;
    }

    function seat(address node) external {
        sitting.push(node);
    }

    function emptyModel() external {
        modelHasSeats = false;
    }

    function poolSize(uint64 model, bytes32, uint256) external view returns (uint256) {
        return model == 0 || (model == modelId && modelHasSeats) ? sitting.length : 0;
    }

    function poolSeat(uint64, bytes32, uint256 place, uint256) external pure returns (uint32) {
        return uint32(place + 1);
    }

    function seatOf(uint32 number) external view returns (Seat memory s) {
        s.node = sitting[number - 1];
        s.modelId = modelId;
    }
}
