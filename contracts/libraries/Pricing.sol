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

    /// @param taken What was slashed. @param basisPoints At most 10,000.
    function share(uint256 taken, uint256 basisPoints) internal pure returns (uint256) {
        return taken * basisPoints / BASIS_POINTS;
    }
}
