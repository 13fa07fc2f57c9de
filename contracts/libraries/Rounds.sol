// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice How far a round has come; the rest follows from the clock.
enum Progress {
    None,
    Requested,
    Drawn,
    /// All who committed have revealed.
    Done
}

/// @notice A round of a dispute. Masks have bit i for the panel's member i.
struct Round {
    /// When it was asked for; once drawn, when it was drawn; once Done, when it was.
    uint256 time;
    /// The randomness's ticket; once drawn, the draw's number, from which the witness's positions follow.
    uint256 lot;
    /// Whose seats are drawn from, and as they stood in which period.
    uint256 pool;
    uint256 period;
    uint256 committed;
    uint256 revealed;
    uint256 upheld;
    uint256 dismissed;
    Progress progress;
    /// 2: drawn from other models' seats too. Of the first round also 1: can be appealed; 4: closed; 8: was appealed.
    uint256 flags;
}

/// @title Rounds
/// @notice A round as one word: from the low bits progress (8), flags (8), four masks (16 each), pool (32), period (32), time (40), lot (64).
library Rounds {
    uint256 internal constant APPEALABLE = 1;
    uint256 internal constant EXCUSED = 2;
    uint256 internal constant CLOSED = 4;
    uint256 internal constant APPEALED = 8;
    /// @dev Where the flags lie in the word.
    uint256 internal constant FLAGS = 8;

    /// @dev Every member lies within its width: time, lot, pool and period are cast where they are made, masks have 15 bits at most.
    function pack(Round memory r) internal pure returns (uint256) {
        return uint256(r.progress) | r.flags << 8 | r.committed << 16 | r.revealed << 32 | r.upheld << 48 | r.dismissed
            << 64 | r.pool << 80 | r.period << 112 | r.time << 144 | r.lot << 184;
    }

    function unpack(uint256 word) internal pure returns (Round memory r) {
        r.progress = Progress(uint8(word));
        r.flags = uint8(word >> 8);
        r.committed = uint16(word >> 16);
        r.revealed = uint16(word >> 32);
        r.upheld = uint16(word >> 48);
        r.dismissed = uint16(word >> 64);
        r.pool = uint32(word >> 80);
        r.period = uint32(word >> 112);
        r.time = uint40(word >> 144);
        r.lot = uint64(word >> 184);
    }
}
