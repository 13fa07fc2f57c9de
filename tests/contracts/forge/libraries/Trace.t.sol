// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Trace, Traces} from "contracts/libraries/Trace.sol";

contract TraceTest is Test {
    using Traces for Trace;

    Trace private _trace;

    function push(uint256 period, uint256 value) external {
        _trace.push(period, value);
    }

    function test_emptyIsZero() public view {
        assertEq(_trace.at(0), 0);
        assertEq(_trace.at(1e9), 0);
        assertEq(_trace.last(), 0);
    }

    function test_neverBackwards() public {
        _trace.push(5, 1);
        vm.expectRevert(abi.encodeWithSelector(Traces.PeriodPassed.selector, 4, 5));
        this.push(4, 1);
    }

    /// @dev Against an array of all periods.
    /// Fewer runs than by default: one compares a whole history, and takes 3 ms.
    /// forge-config: default.fuzz.runs = 1000
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_againstAnArray(uint256 seed, uint256 pushes) public {
        pushes = bound(pushes, 0, 40);
        uint256[] memory values = new uint256[](128);
        uint256 period = 0;
        for (uint256 i = 0; i < pushes; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            period += seed % 4;
            uint256 value = seed % 7 == 0 ? 0 : seed >> 160;
            _trace.push(period, value);
            for (uint256 p = period; p < 128; ++p) {
                values[p] = value;
            }
            assertEq(_trace.last(), value);
        }
        for (uint256 p = 0; p < 128; ++p) {
            assertEq(_trace.at(p), values[p]);
        }
    }
}
