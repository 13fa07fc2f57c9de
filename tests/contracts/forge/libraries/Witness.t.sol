// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Witness} from "contracts/libraries/Witness.sol";

contract WitnessTest is Test {
    function testFuzz_positions(uint64 lot, uint256 tokens) public pure {
        tokens = bound(tokens, 1, 16_384);
        uint256[] memory found = Witness.positions(lot, tokens);
        assertEq(found.length, 8);
        for (uint256 i = 0; i < 8; ++i) {
            assertLt(found[i], tokens);
            for (uint256 j = 0; j < i; ++j) {
                if (tokens >= 8) assertNotEq(found[i], found[j]);
            }
        }
    }

    /// @dev Against the rule in plain words: at each position, what more than half of the votes say; then six of eight.
    /// Fewer runs than by default: one is a panel of up to 15, lane by lane, and takes 2 ms.
    /// forge-config: default.fuzz.runs = 3000
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_agreement(uint256 seed, uint256 voted, uint256 count) public pure {
        count = bound(count, 1, 15);
        voted &= (1 << count) - 1;
        bytes32[] memory witnesses = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            witnesses[i] = aWitness(uint256(keccak256(abi.encode(seed, i))));
        }
        assertEq(Witness.agreement(witnesses, voted), plainly(witnesses, voted));
    }

    /// @dev Lanes out of a few values, some of which look alike to careless lane arithmetic.
    function aWitness(uint256 seed) private pure returns (bytes32 witness) {
        uint32[5] memory values = [uint32(0), 0x80000000, 1, type(uint32).max, 0x7fffffff];
        for (uint256 lane = 0; lane < 8; ++lane) {
            uint256 draw = seed >> (lane * 8) & 0xff;
            uint256 value = draw < 170 ? values[lane % 5] : values[draw % 5];
            witness |= bytes32(value << (lane * 32));
        }
    }

    function plainly(bytes32[] memory witnesses, uint256 voted) private pure returns (uint256 agreed) {
        uint256 votes;
        for (uint256 i = 0; i < witnesses.length; ++i) {
            if (voted >> i & 1 == 1) ++votes;
        }
        for (uint256 i = 0; i < witnesses.length; ++i) {
            if (voted >> i & 1 == 0 || votes < 2) continue;
            uint256 right;
            for (uint256 lane = 0; lane < 8; ++lane) {
                uint256 same;
                for (uint256 j = 0; j < witnesses.length; ++j) {
                    if (voted >> j & 1 == 0) continue;
                    if (at(witnesses[i], lane) == at(witnesses[j], lane)) ++same;
                }
                if (same > votes / 2) ++right;
            }
            if (right >= 6) agreed |= 1 << i;
        }
    }

    function at(bytes32 witness, uint256 lane) private pure returns (uint32) {
        return uint32(uint256(witness) >> (lane * 32));
    }

    function test_sixOfEight() public pure {
        bytes32[] memory witnesses = new bytes32[](3);
        witnesses[0] = bytes32(0);
        witnesses[1] = bytes32(0);
        witnesses[2] = bytes32(uint256(7) | uint256(9) << 224);
        assertEq(Witness.agreement(witnesses, 7), 7);
        witnesses[2] |= bytes32(uint256(1) << 100);
        assertEq(Witness.agreement(witnesses, 7), 3);
        assertEq(Witness.agreement(witnesses, 5), 0, "two that disagree: neither is the majority");
        assertEq(Witness.agreement(witnesses, 1), 0, "nobody to agree with");
        assertEq(Witness.agreement(witnesses, 0), 0);
    }
}
