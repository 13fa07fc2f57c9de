// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Sortition} from "./Sortition.sol";

/// @title Witness
/// @notice The second-best token ids at eight positions, as eight uint32 in one word (the first position in the highest bits): they can't be had
/// without running the model.
library Witness {
    uint256 internal constant POSITIONS = 8;
    uint256 internal constant ENOUGH = 6;

    uint256 private constant LANE = 32;
    /// @dev The low 31 bits of every lane; one in every lane.
    uint256 private constant LOW = 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff;
    uint256 private constant ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;

    /// @notice Where to look: absolute positions in prompt + output, drawn with the panel. They differ when there are eight.
    /// @param lot The draw's number. @param tokens Prompt and output together, at least 1.
    function positions(uint64 lot, uint256 tokens) internal pure returns (uint256[] memory found) {
        if (tokens >= POSITIONS) return Sortition.pick(bytes32(uint256(lot)), tokens, POSITIONS);
        found = new uint256[](POSITIONS);
        for (uint256 i = 0; i < POSITIONS; ++i) {
            found[i] = i % tokens;
        }
    }

    /// @notice Which members agree, at six positions or more, with what more than half of those who voted say there. One alone
    /// agrees with nobody.
    /// @param voted Bit i for member i: whose witnesses count.
    /// @return agreed Bit i for member i.
    function agreement(bytes32[] memory witnesses, uint256 voted) internal pure returns (uint256 agreed) {
        // Bound: at most 256 members, and counters of them.
        unchecked {
            uint256 votes = 0;
            for (uint256 bits = voted; bits != 0; bits &= bits - 1) {
                ++votes;
            }
            if (votes < 2) return 0;
            for (uint256 i = 0; i < witnesses.length; ++i) {
                if (voted >> i & 1 == 0) continue;
                uint256 same = 0;
                for (uint256 j = 0; j < witnesses.length; ++j) {
                    if (voted >> j & 1 != 0) same += _equalLanes(witnesses[i] ^ witnesses[j]);
                }
                uint256 matches = 0;
                for (; same != 0; same >>= LANE) {
                    if (2 * uint256(uint32(same)) > votes) ++matches;
                }
                if (matches >= ENOUGH) agreed |= 1 << i;
            }
        }
    }

    /// @dev 1 in each lane of `difference` that is zero. No lane carries into the next: two summands below 2^31.
    function _equalLanes(bytes32 difference) private pure returns (uint256) {
        uint256 x = uint256(difference);
        unchecked {
            return (~(((x & LOW) + LOW) | x | LOW) >> 31) & ONES;
        }
    }
}
