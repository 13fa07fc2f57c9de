// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Trace, Traces} from "./Trace.sol";

/// @notice Seats of equal weight in numbered places without gaps, as they stood in every period.
struct Pool {
    Trace size;
    mapping(uint256 place => Trace) places;
}

/// @title Sortition
/// @notice Uniform draws, without replacement, over a pool as it stood in a past period. Because all seats weigh the same, a draw is a
/// place, and finding who sat there is one search in that place's history: no tree, and no loop over seats anywhere.
library Sortition {
    using Traces for Trace;

    /// @notice Give `seat` a place from `period` on.
    function add(Pool storage pool, uint256 seat, uint256 period) internal returns (uint256 place) {
        place = pool.size.last();
        pool.size.push(period, place + 1);
        pool.places[place].push(period, seat);
    }

    /// @notice Clear `place` from `period` on; the seat of the last place moves there.
    /// @return moved That seat, or the one taken away when it was the last.
    function remove(Pool storage pool, uint256 place, uint256 period) internal returns (uint256 moved) {
        uint256 last = pool.size.last() - 1;
        pool.size.push(period, last);
        moved = pool.places[last].last();
        if (place != last) pool.places[place].push(period, moved);
    }

    /// @notice How many seats there were in `period`.
    function sizeAt(Pool storage pool, uint256 period) internal view returns (uint256) {
        return pool.size.at(period);
    }

    /// @notice Who sat at `place`, below sizeAt(period), in `period`.
    function seatAt(Pool storage pool, uint256 place, uint256 period) internal view returns (uint256) {
        return pool.places[place].at(period);
    }

    /// @notice `count` different numbers below `size` (Floyd's algorithm): every set of them is equally likely.
    /// @dev count <= size, or it reverts. The modulus favours nobody by more than 2^-200.
    function pick(bytes32 seed, uint256 size, uint256 count) internal pure returns (uint256[] memory picked) {
        picked = new uint256[](count);
        uint256 top = size - count;
        for (uint256 i = 0; i < count; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i))) % (top + i + 1);
            // None of the earlier ones can be the highest number of this turn.
            for (uint256 j = 0; j < i; ++j) {
                if (picked[j] == draw) draw = top + i;
            }
            picked[i] = draw;
        }
    }
}
