// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
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

    /// @dev Nodes with 1 to 4 seats of 10 in all: each is drawn as often as its stake says. Thousandths of chi-squared, as integers.
    function draws() internal view returns (uint256) {
        return vm.envOr("SORTITION_DRAWS", uint256(4000));
    }

    function test_everySeatAsOften() public view {
        uint256 runs = draws();
        uint256[] memory seen = new uint256[](10);
        for (uint256 run = 0; run < runs; ++run) {
            uint256[] memory picked = Sortition.pick(keccak256(abi.encode("seat", run)), 10, 3);
            for (uint256 i = 0; i < 3; ++i) {
                ++seen[picked[i]];
            }
        }
        // Three draws without replacement have 9/10 · 10/9 … of the variance of independent ones: scale by (10 - 1)/(10 - 3).
        uint256 chi = chiSquared(seen, runs * 3) * 9 / 7;
        assertLt(chi, CRITICAL_9);
    }

    /// @dev Not only each seat: each of the 120 sets of three.
    function test_everySetAsOften() public view {
        uint256 runs = draws();
        uint256[] memory seen = new uint256[](1024);
        for (uint256 run = 0; run < runs; ++run) {
            uint256[] memory picked = Sortition.pick(keccak256(abi.encode("set", run)), 10, 3);
            ++seen[1 << picked[0] | 1 << picked[1] | 1 << picked[2]];
        }
        uint256[] memory sets = new uint256[](120);
        uint256 count;
        for (uint256 set = 0; set < 1024; ++set) {
            if (bits(set) == 3) sets[count++] = seen[set];
        }
        assertLt(chiSquared(sets, runs), CRITICAL_119);
    }

    function test_asOftenAsItsStake() public view {
        uint256 runs = draws();
        // 1, 2, 3 and 4 seats.
        uint256[] memory seen = new uint256[](4);
        for (uint256 run = 0; run < runs; ++run) {
            uint256 place = Sortition.pick(keccak256(abi.encode("stake", run)), 10, 1)[0];
            ++seen[place < 1 ? 0 : place < 3 ? 1 : place < 6 ? 2 : 3];
        }
        uint256 chi;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 expected = runs * (i + 1) / 10;
            uint256 off = seen[i] > expected ? seen[i] - expected : expected - seen[i];
            chi += off * off * 1000 / expected;
        }
        assertLt(chi, 16_266, "3 degrees of freedom, one in a thousand");
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
