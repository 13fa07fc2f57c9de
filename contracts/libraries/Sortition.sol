// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Seats of equal weight in numbered places without gaps, as they stood in every period.
struct Pool {
    Checkpoints.Trace160 size;
    mapping(uint256 place => Checkpoints.Trace160) places;
}

/// @title Sortition
/// @notice Uniform draws, without replacement, over a pool as it stood in a past period. Because all seats weigh the same, a draw is a
/// place, and finding who sat there is one search in that place's history: no tree, and no loop over seats anywhere.
library Sortition {
    using Checkpoints for Checkpoints.Trace160;
    using SafeCast for uint256;

    /// @dev Changes that are later than the period before this one: of this period, and of the next.
    uint256 private constant RECENT = 3;

    /// @notice Give `seat` a place from `period` on.
    function add(Pool storage pool, uint256 seat, uint256 period) internal returns (uint256 place) {
        place = pool.size.latest();
        pool.size.push(period.toUint96(), (place + 1).toUint160());
        pool.places[place].push(period.toUint96(), seat.toUint160());
    }

    /// @notice Clear `place` from `period` on; the seat of the last place moves there.
    /// @return moved That seat, or the one taken away when it was the last.
    function remove(Pool storage pool, uint256 place, uint256 period) internal returns (uint256 moved) {
        uint256 last = pool.size.latest() - 1;
        pool.size.push(period.toUint96(), last.toUint160());
        moved = pool.places[last].latest();
        if (place != last) pool.places[place].push(period.toUint96(), moved.toUint160());
    }

    /// @notice How many seats there were in `period`.
    function sizeAt(Pool storage pool, uint256 period) internal view returns (uint256) {
        return _at(pool.size, period);
    }

    /// @notice Who sat at `place`, below sizeAt(period), in `period`.
    function seatAt(Pool storage pool, uint256 place, uint256 period) internal view returns (uint256) {
        return _at(pool.places[place], period);
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

    /// @dev A draw asks for the last period, so the answer is nearly always among the last entries.
    function _at(Checkpoints.Trace160 storage trace, uint256 period) private view returns (uint256) {
        uint256 length = trace.length();
        for (uint256 i = 1; i <= RECENT; ++i) {
            if (i > length) return 0;
            Checkpoints.Checkpoint160 memory entry = trace.at((length - i).toUint32());
            if (entry._key <= period) return entry._value;
        }
        return trace.upperLookup(period.toUint96());
    }
}
