// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Progress, Round, Rounds} from "contracts/libraries/Rounds.sol";

contract RoundsTest is Test {
    function testFuzz_packs(uint256 seed) public pure {
        Round memory r;
        r.progress = Progress(seed & 3);
        r.flags = uint8(seed >> 2);
        r.committed = uint16(seed >> 10);
        r.revealed = uint16(seed >> 26);
        r.upheld = uint16(seed >> 42);
        r.dismissed = uint16(seed >> 58);
        r.pool = uint32(seed >> 74);
        r.period = uint32(seed >> 106);
        r.time = uint40(seed >> 138);
        r.lot = uint64(seed >> 178);
        uint256 word = Rounds.pack(r);
        assertEq(keccak256(abi.encode(Rounds.unpack(word))), keccak256(abi.encode(r)));
        assertEq(uint8(word >> Rounds.FLAGS), r.flags);
    }
}
