// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Pricing
/// @notice What an answer costs and how a slash is split (docs/protocol.md, section 1). Prices round up, fees and shares down.
library Pricing {
    uint256 internal constant PER = 1e6;
    uint256 internal constant BASIS_POINTS = 10_000;

    /// @param outputTokens Tokens answered; with token counts below 2^32 and prices below 2^64 no sum overflows.
    /// @return payment What the client pays, at most `ceiling`; token base units.
    /// @return modelFee The model's part of it.
    function settle(
        uint256 promptTokens,
        uint256 outputTokens,
        uint256 inputPrice,
        uint256 outputPrice,
        uint256 feePrice,
        uint256 ceiling
    ) internal pure returns (uint256 payment, uint256 modelFee) {
        // Bound: 2 · 2^32 · 2^64 < 2^98.
        unchecked {
            payment = Math.min(Math.ceilDiv(promptTokens * inputPrice + outputTokens * outputPrice, PER), ceiling);
            modelFee = Math.min((promptTokens + outputTokens) * feePrice / PER, payment);
        }
    }

    /// @notice The least model fee of answers that cost `amount`, rounded up once: all of it spent on the dearer kind of token.
    /// @dev amount - 1 < what the tokens cost <= their number · the dearer price, and their fee is rounded down once.
    /// @param amount Below 2^128; token base units.
    function leastFee(uint256 amount, uint256 inputPrice, uint256 outputPrice, uint256 feePrice)
        internal
        pure
        returns (uint256)
    {
        if (amount == 0 || feePrice == 0) return 0;
        // Bound: 2^128 · 2^64; the fee lies within both prices, so neither is 0.
        unchecked {
            return (amount - 1) * feePrice / Math.max(inputPrice, outputPrice);
        }
    }

    /// @param taken What was slashed. @param basisPoints At most 10,000.
    function share(uint256 taken, uint256 basisPoints) internal pure returns (uint256) {
        return taken * basisPoints / BASIS_POINTS;
    }
}
