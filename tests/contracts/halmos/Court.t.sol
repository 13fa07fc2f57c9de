// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Progress, Round, Rounds} from "contracts/libraries/Rounds.sol";
import {Witness} from "contracts/libraries/Witness.sol";

/// @notice The court's packing and its witnesses' lanes, proved for every value. Run by `make fuzz`.
/// @dev Solvers don't get through sums of multiples of a fee: that no more is paid than came in is fuzzed on the court itself (court/Close.t.sol).
contract CourtProof {
    using Rounds for Round;
    using Rounds for uint256;

    /// @dev Every member that its writer casts comes back as it was, whatever its neighbours are.
    function check_aRoundIsOneWord(
        uint40 time,
        uint64 lot,
        uint32 pool,
        uint32 period,
        uint16 committed,
        uint16 revealed,
        uint16 upheld,
        uint16 dismissed,
        uint8 progress,
        uint8 flags
    ) external pure {
        if (progress > uint8(Progress.Done)) return;
        Round memory r =
            Round(time, lot, pool, period, committed, revealed, upheld, dismissed, Progress(progress), flags);
        Round memory found = r.pack().unpack();
        assert(found.time == time && found.lot == lot && found.pool == pool && found.period == period);
        assert(found.committed == committed && found.revealed == revealed);
        assert(found.upheld == upheld && found.dismissed == dismissed);
        assert(found.progress == r.progress && found.flags == flags);
    }

    /// @dev Setting a flag in the packed word, as closing and appealing do, changes that flag alone.
    function check_aFlagIsOneBit(uint256 word, bool closed) external pure {
        if (uint8(word) > uint8(Progress.Done)) return;
        word &= (1 << 248) - 1;
        uint256 flag = closed ? Rounds.CLOSED : Rounds.APPEALED;
        Round memory before = word.unpack();
        Round memory found = (word | flag << Rounds.FLAGS).unpack();
        assert(found.flags == before.flags | flag);
        before.flags = found.flags;
        assert(before.pack() == found.pack());
    }

    /// @dev Two who voted are both paid when six of their eight lanes are the same, and neither when fewer are.
    /// @custom:halmos --loop 20
    function check_twoWitnesses(bytes32 a, bytes32 b) external pure {
        uint256 same;
        for (uint256 lane = 0; lane < 8; ++lane) {
            if (uint32(uint256(a) >> 32 * lane) == uint32(uint256(b) >> 32 * lane)) ++same;
        }
        bytes32[] memory witnesses = new bytes32[](2);
        (witnesses[0], witnesses[1]) = (a, b);
        assert(Witness.agreement(witnesses, 3) == (same >= 6 ? 3 : 0));
        assert(Witness.agreement(witnesses, 1) == 0);
    }
}
