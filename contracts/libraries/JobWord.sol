// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Status} from "../interfaces/IJobEscrow.sol";

/// @notice A job's whole state.
/// From the low bits: status (8), a time in seconds (40), then while Open the operator key (160) and the most output tokens (16), and afterwards
/// the top 208 bits of the completion's hash: a node that wanted two completions with the same ones would need some 2^104 tries.
type JobWord is uint256;

using {
    JobWords.status,
    JobWords.time,
    JobWords.operator,
    JobWords.maxTokens,
    JobWords.commits,
    JobWords.moved
} for JobWord global;

/// @title JobWords
/// @notice Packing and reading of JobWord.
library JobWords {
    uint256 private constant COMMITMENT = ~uint256(type(uint48).max);

    function open(uint40 deadline, address operator_, uint16 maxTokens_) internal pure returns (JobWord) {
        return JobWord.wrap(
            uint256(Status.Open) | uint256(deadline) << 8 | uint256(uint160(operator_)) << 48 | uint256(maxTokens_)
                << 208
        );
    }

    function committed(Status status_, uint40 until, bytes32 completionHash) internal pure returns (JobWord) {
        return JobWord.wrap(uint256(status_) | uint256(until) << 8 | uint256(completionHash) & COMMITMENT);
    }

    /// @notice The same commitment under another status.
    function moved(JobWord word, Status status_, uint40 until) internal pure returns (JobWord) {
        return committed(status_, until, bytes32(JobWord.unwrap(word)));
    }

    function closed() internal pure returns (JobWord) {
        return JobWord.wrap(uint256(Status.Final));
    }

    function status(JobWord word) internal pure returns (Status) {
        return Status(uint8(JobWord.unwrap(word)));
    }

    function time(JobWord word) internal pure returns (uint256) {
        return uint40(JobWord.unwrap(word) >> 8);
    }

    function operator(JobWord word) internal pure returns (address) {
        return address(uint160(JobWord.unwrap(word) >> 48));
    }

    function maxTokens(JobWord word) internal pure returns (uint256) {
        return JobWord.unwrap(word) >> 208;
    }

    function commits(JobWord word, bytes32 completionHash) internal pure returns (bool) {
        return (JobWord.unwrap(word) ^ uint256(completionHash)) & COMMITMENT == 0;
    }
}
