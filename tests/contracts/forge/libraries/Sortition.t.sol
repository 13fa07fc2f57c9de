// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test, console} from "forge-std/Test.sol";
import {Sortition} from "contracts/libraries/Sortition.sol";

contract SortitionTest is Test {
    /// @dev Chi-squared with 9 degrees of freedom is above 27.9 once in a thousand.
    uint256 private constant CRITICAL_9 = 27_877;
    /// @dev The same with 119.
    uint256 private constant CRITICAL_119 = 172_000;

    function pick(bytes32 seed, uint256 size, uint256 count) external pure returns (uint256[] memory) {
        return Sortition.pick(seed, size, count);
    }

    function testFuzz_differentAndBelow(bytes32 seed, uint256 size, uint256 count) public pure {
        count = bound(count, 0, 15);
        size = bound(size, count, type(uint128).max);
        uint256[] memory picked = Sortition.pick(seed, size, count);
        assertEq(picked.length, count);
        for (uint256 i = 0; i < count; ++i) {
            assertLt(picked[i], size);
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(picked[i], picked[j]);
            }
        }
    }

    function test_all() public pure {
        uint256[] memory picked = Sortition.pick("seed", 15, 15);
        uint256 seen;
        for (uint256 i = 0; i < 15; ++i) {
            seen |= 1 << picked[i];
        }
        assertEq(seen, (1 << 15) - 1);
    }

    function test_tooMany() public {
        vm.expectRevert();
        this.pick("seed", 2, 3);
    }

    /// @dev More by SORTITION_DRAWS. Chi-squared is in thousandths.
    function draws() internal view returns (uint256) {
        return vm.envOr("SORTITION_DRAWS", uint256(4000));
    }

    function test_everySeatAsOften() public view {
        uint256 runs = draws();
        uint256[] memory sets = setsDrawn("seat", runs);
        uint256[] memory seen = new uint256[](10);
        for (uint256 set = 0; set < 1024; ++set) {
            for (uint256 i = 0; i < 10; ++i) {
                if (set >> i & 1 == 1) seen[i] += sets[set];
            }
        }
        // Three draws without replacement have 9/10 · 10/9 … of the variance of independent ones: scale by (10 - 1)/(10 - 3).
        uint256 chi = chiSquared(seen, runs * 3) * 9 / 7;
        console.log("seats: chi-squared, thousandths", chi);
        assertLt(chi, CRITICAL_9);
    }

    /// @dev Not only each seat: each of the 120 sets of three.
    function test_everySetAsOften() public view {
        uint256 runs = draws();
        uint256[] memory seen = setsDrawn("set", runs);
        uint256[] memory sets = new uint256[](120);
        uint256 count;
        for (uint256 set = 0; set < 1024; ++set) {
            if (bits(set) == 3) sets[count++] = seen[set];
        }
        console.log("sets: chi-squared, thousandths", chiSquared(sets, runs));
        assertLt(chiSquared(sets, runs), CRITICAL_119);
    }

    function test_asOftenAsItsStake() public view {
        uint256 runs = draws();
        uint256[] memory sets = setsDrawn("stake", runs);
        // Nodes with 1, 2, 3 and 4 seats.
        uint256[] memory seen = new uint256[](4);
        for (uint256 set = 0; set < 1024; ++set) {
            for (uint256 i = 0; i < 10; ++i) {
                if (set >> i & 1 == 1) seen[i < 1 ? 0 : i < 3 ? 1 : i < 6 ? 2 : 3] += sets[set];
            }
        }
        uint256 chi;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 expected = runs * 3 * (i + 1) / 10;
            uint256 off = seen[i] > expected ? seen[i] - expected : expected - seen[i];
            chi += off * off * 1000 / expected;
        }
        console.log("stakes: chi-squared, thousandths", chi);
        assertLt(chi, 16_266, "3 degrees of freedom, one in a thousand");
    }

    /// @return seen How often each set of three places of ten was drawn, as a mask.
    function setsDrawn(string memory what, uint256 runs) private view returns (uint256[] memory seen) {
        seen = new uint256[](1024);
        for (uint256 start = 0; start < runs; start += 500) {
            uint256[] memory some = this.someSets(what, start, start + 500 < runs ? start + 500 : runs);
            for (uint256 i = 0; i < 1024; ++i) {
                seen[i] += some[i];
            }
        }
    }

    /// @dev A call of its own, so that memory does not pile up.
    function someSets(string calldata what, uint256 start, uint256 end) external pure returns (uint256[] memory seen) {
        seen = new uint256[](1024);
        for (uint256 run = start; run < end; ++run) {
            uint256[] memory picked = Sortition.pick(keccak256(abi.encode(what, run)), 10, 3);
            ++seen[1 << picked[0] | 1 << picked[1] | 1 << picked[2]];
        }
    }

    function chiSquared(uint256[] memory seen, uint256 total) private pure returns (uint256 chi) {
        uint256 expected = total / seen.length;
        for (uint256 i = 0; i < seen.length; ++i) {
            uint256 off = seen[i] > expected ? seen[i] - expected : expected - seen[i];
            chi += off * off * 1000 / expected;
        }
    }

    function bits(uint256 x) private pure returns (uint256 n) {
        for (; x != 0; x &= x - 1) {
            ++n;
        }
    }
}
