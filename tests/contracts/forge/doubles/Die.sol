// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRandomness} from "contracts/interfaces/IRandomness.sol";

/// @notice Randomness that is told what to say, so that one request can be drawn many times.
contract Die is IRandomness {
    uint256 public face;

    function roll(uint256 face_) external {
        face = face_;
    }

    function request() external pure returns (uint64) {
        return 1;
    }

    function read(uint64) external view returns (bytes32) {
        return keccak256(abi.encode(face));
    }
}
