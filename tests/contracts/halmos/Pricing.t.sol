// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";

/// @notice Proved for every value that the messages' types can hold, not sampled. Run by `make fuzz`.
/// @dev Bit-vector solvers don't get through a division by 1e6: that rounding itself goes up, and a share down, is fuzzed
/// (libraries/Pricing.t.sol).
contract PricingProof {
    function check_feeWithinPaymentWithinCeiling(
        uint32 promptTokens,
        uint32 outputTokens,
        uint64 inputPrice,
        uint64 outputPrice,
        uint64 feePrice,
        uint128 ceiling
    ) external pure {
        (uint256 payment, uint256 fee) =
            Pricing.settle(promptTokens, outputTokens, inputPrice, outputPrice, feePrice, ceiling);
        assert(payment <= ceiling);
        assert(fee <= payment);
    }

    /// @dev The unchecked block computes what checked arithmetic does: nothing overflows in it.
    function check_nothingOverflows(
        uint32 promptTokens,
        uint32 outputTokens,
        uint64 inputPrice,
        uint64 outputPrice,
        uint64 feePrice,
        uint128 ceiling
    ) external pure {
        (uint256 payment, uint256 fee) =
            Pricing.settle(promptTokens, outputTokens, inputPrice, outputPrice, feePrice, ceiling);
        uint256 millionths = uint256(promptTokens) * inputPrice + uint256(outputTokens) * outputPrice;
        assert(payment == Math.min(Math.ceilDiv(millionths, 1e6), ceiling));
        assert(fee == Math.min((uint256(promptTokens) + outputTokens) * feePrice / 1e6, payment));
    }

    /// @dev What the node, the model and the client get is the ceiling, whatever was signed.
    function check_everyUnitGoesSomewhere(
        uint32 promptTokens,
        uint32 outputTokens,
        uint64 inputPrice,
        uint64 outputPrice,
        uint64 feePrice,
        uint128 ceiling
    ) external pure {
        (uint256 payment, uint256 fee) =
            Pricing.settle(promptTokens, outputTokens, inputPrice, outputPrice, feePrice, ceiling);
        assert((payment - fee) + fee + (ceiling - payment) == ceiling);
    }
}
