// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Auction
/// @notice A Dutch auction upwards, and the stake behind what it sells.
library Auction {
    /// @notice Pay that rises evenly from `base`, by `most` in `riseTime`, and never above `most`.
    /// @param elapsed Seconds since it began to rise.
    function price(uint256 base, uint256 most, uint256 elapsed, uint256 riseTime) internal pure returns (uint256) {
        return Math.min(most, base + Math.mulDiv(most, Math.min(elapsed, riseTime), riseTime));
    }

    /// @notice 2 · reward · (1 − p) / p, where p = repeated / segments: with chance p the stake is lost, with 1 − p the reward was got for nothing. Rounds up.
    /// @param repeated At most `segments`, not 0.
    function stake(uint256 reward, uint256 segments, uint256 repeated) internal pure returns (uint256) {
        return Math.ceilDiv(2 * reward * (segments - repeated), repeated);
    }
}
