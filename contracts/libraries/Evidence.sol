// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Case} from "../interfaces/ICourt.sol";
import {IJobEscrow, Job, Completion} from "../interfaces/IJobEscrow.sol";

/// @title Evidence
/// @notice What a court is given of a disputed answer, the same in every payment path.
library Evidence {
    uint256 private constant BYTES_PER_TOKEN = 4;

    /// @notice Checks prompt, output and secret against what both sides signed: nobody can burn a case with bad evidence.
    /// @param subject What the ruling will name.
    /// @return What ICourt takes: abi.encode(Case, masked prompt, masked output).
    function encode(
        bytes32 subject,
        Job calldata job,
        Completion calldata completion,
        bytes32 secret,
        bytes memory prompt,
        bytes memory output
    ) internal pure returns (bytes memory) {
        checkTokens(output, completion.outputHash, completion.outputTokens);
        checkTokens(prompt, job.promptHash, job.promptTokens);
        bytes32 secretHash = keccak256(abi.encode(secret));
        if (secretHash != job.secretHash) revert IJobEscrow.WrongSecret(secretHash, job.secretHash);
        Case memory case_ = Case({
            subject: subject,
            challenger: job.client,
            node: job.node,
            modelId: job.modelId,
            version: job.version,
            promptTokens: job.promptTokens,
            outputTokens: completion.outputTokens,
            maxTokens: job.maxTokens,
            finish: completion.finish,
            seed: job.seed,
            temperature: job.temperature,
            topP: job.topP,
            bitClass: job.bitClass,
            secret: secret
        });
        return abi.encode(case_, prompt, output);
    }

    /// @notice Whether these bytes are the masked tokens that were hashed.
    function checkTokens(bytes memory masked, bytes32 expected, uint256 tokens) internal pure {
        bytes32 found = keccak256(masked);
        if (found != expected || masked.length != BYTES_PER_TOKEN * tokens) {
            revert IJobEscrow.WrongTokens(found, expected, masked.length);
        }
    }
}
