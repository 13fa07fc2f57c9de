// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";

contract LeastFeeTest is Test {
    function test_worked() public pure {
        // 0.05 and 0.20 dollars, of which 0.01 for the model: at least a twentieth.
        assertEq(Pricing.leastFee(1_000_001, 50_000, 200_000, 10_000), 50_000);
        assertEq(Pricing.leastFee(1_000_000, 50_000, 200_000, 10_000), 49_999);
        assertEq(Pricing.leastFee(1_000_001, 200_000, 50_000, 10_000), 50_000);
        assertEq(Pricing.leastFee(0, 1, 1, 1), 0);
        assertEq(Pricing.leastFee(1, 1, 1, 1), 0);
        assertEq(Pricing.leastFee(2, 1, 1, 1), 1);
        assertEq(Pricing.leastFee(5, 0, 0, 0), 0);
        uint256 top = type(uint64).max;
        assertEq(Pricing.leastFee(type(uint128).max, top, top, top), type(uint128).max - 1);
    }

    /// @dev No honest voucher is refused: whatever was asked, the fee of its tokens is at least what its amount must carry.
    function testFuzz_honestVouchersPass(uint32 promptTokens, uint32 outputTokens, uint64 a, uint64 b, uint64 f)
        public
        pure
    {
        uint64 lower = a < b ? a : b;
        f = uint64(bound(f, 0, lower));
        (uint256 amount, uint256 modelFee) = Pricing.settle(promptTokens, outputTokens, a, b, f, type(uint256).max);
        vm.assume(amount <= type(uint128).max);
        assertGe(modelFee, Pricing.leastFee(amount, a, b, f));
    }

    /// @dev And no voucher passes with less than the share of the dearer tokens, but for the roundings.
    function testFuzz_dishonestOnesDoNot(uint56 amount, uint64 a, uint64 b, uint64 f) public pure {
        uint64 lower = a < b ? a : b;
        f = uint64(bound(f, 0, lower));
        uint256 least = Pricing.leastFee(amount, a, b, f);
        uint256 dearer = a > b ? a : b;
        assertLe(least, amount);
        // least + 2 > amount · f / dearer
        if (amount != 0) assertGt((least + 2) * (dearer == 0 ? 1 : dearer), uint256(amount) * f);
    }
}
