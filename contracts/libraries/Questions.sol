// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICourt, Case} from "../interfaces/ICourt.sol";
import {IVault} from "../interfaces/IVault.sol";

/// @title Questions
/// @notice How something other than an answer is put to a court. The Case is the court's own: `finish`, which for an answer is 0 to 2, names
/// the question; `maskedPrompt` is the evidence, as it is, and `promptTokens` a quarter of its length; `maskedOutput` is the question's number
/// once more, in four bytes, since a court takes no case without an output; what only an answer has is 0. docs/tuning.md says what verifiers
/// do with each.
library Questions {
    /// @dev Does segment `maxTokens` of this trace repeat?
    uint8 internal constant SEGMENT = 16;
    /// @dev Is this manifest the epoch's merge, and not worse than its parent by more than the bound?
    uint8 internal constant MERGE = 17;
    /// @dev Is this the root of who is owed what for preferences?
    uint8 internal constant ROOT = 18;

    uint256 private constant BYTES_PER_TOKEN = 4;

    /// @notice A question, without its evidence.
    struct Question {
        uint8 kind;
        bytes32 subject;
        address challenger;
        /// @dev Whose word it is; gets the court's node fee when it was challenged without reason.
        address author;
        uint64 modelId;
        uint32 version;
        uint32 part;
    }

    /// @notice Open the case with `amount` of the caller's money, which is the bond for `evidence`; a whole number of four bytes.
    function ask(IVault vault, ICourt court, uint256 amount, Question memory q, bytes memory evidence) internal {
        Case memory c;
        c.subject = q.subject;
        c.challenger = q.challenger;
        c.node = q.author;
        c.modelId = q.modelId;
        c.version = q.version;
        // Bound: evidence is made here, of a few words.
        c.promptTokens = uint32(evidence.length / BYTES_PER_TOKEN);
        c.outputTokens = 1;
        c.maxTokens = q.part;
        c.finish = q.kind;
        vault.payAndCall(address(court), amount, abi.encode(c, evidence, abi.encodePacked(uint32(q.kind))));
    }

    /// @notice What asking costs.
    /// @param words Words of evidence.
    function cost(ICourt court, uint256 words) internal view returns (uint256) {
        return court.bondFor(words * 32 / BYTES_PER_TOKEN + 1);
    }
}
