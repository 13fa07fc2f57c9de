// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";

contract PricingTest is Test {
    /// @dev Against plain checked arithmetic, over every value that the messages' types can hold.
    function testFuzz_settle(
        uint32 promptTokens,
        uint32 outputTokens,
        uint64 inputPrice,
        uint64 outputPrice,
        uint64 feePrice,
        uint128 ceiling
    ) public pure {
        (uint256 payment, uint256 fee) =
            Pricing.settle(promptTokens, outputTokens, inputPrice, outputPrice, feePrice, ceiling);
        uint256 millionths = uint256(promptTokens) * inputPrice + uint256(outputTokens) * outputPrice;
        uint256 price = millionths / 1e6 + (millionths % 1e6 == 0 ? 0 : 1);
        assertEq(payment, price < ceiling ? price : ceiling);
        uint256 wanted = (uint256(promptTokens) + outputTokens) * feePrice / 1e6;
        assertEq(fee, wanted < payment ? wanted : payment);
    }

    /// @dev With the fee within both prices, as `open` demands, only the ceiling can cut it.
    function testFuzz_settle_theNodeIsNeverOutOfPocket(
        uint32 promptTokens,
        uint32 outputTokens,
        uint64 inputPrice,
        uint64 outputPrice,
        uint64 feePrice
    ) public pure {
        feePrice = uint64(bound(feePrice, 0, inputPrice < outputPrice ? inputPrice : outputPrice));
        (uint256 payment, uint256 fee) =
            Pricing.settle(promptTokens, outputTokens, inputPrice, outputPrice, feePrice, type(uint128).max);
        assertLe(fee, payment);
        assertEq(fee, (uint256(promptTokens) + outputTokens) * feePrice / 1e6);
    }

    function testFuzz_share(uint72 taken, uint16 basisPoints) public pure {
        basisPoints = uint16(bound(basisPoints, 0, 10_000));
        uint256 won = Pricing.share(taken, basisPoints);
        assertLe(won, taken);
        assertEq(won, uint256(taken) * basisPoints / 10_000);
        if (basisPoints <= 5000) assertLe(won, taken - won);
    }
}
