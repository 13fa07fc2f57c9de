// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Job, Completion} from "../interfaces/IJobEscrow.sol";
import {Payment} from "../interfaces/IVault.sol";

/// @title Messages
/// @notice EIP-712 struct hashes of the signed messages (docs/protocol.md, section 1; tests/vectors/messages.json).
library Messages {
    bytes32 internal constant JOB_TYPEHASH = keccak256(
        "Job(address collector,bytes32 channel,address client,address node,uint64 modelId,uint32 version,bytes32 promptHash,uint32 promptTokens,uint32 maxTokens,bytes32 secretHash,uint64 seed,uint32 temperature,uint32 topP,uint64 inputPrice,uint64 outputPrice,uint64 modelFee,uint128 ceiling,uint64 deadline,bytes32 bitClass,bytes32 clientKey)"
    );
    bytes32 internal constant ACCEPTANCE_TYPEHASH = keccak256("Acceptance(bytes32 jobHash,uint64 expires)");
    bytes32 internal constant COMPLETION_TYPEHASH = keccak256(
        "Completion(bytes32 jobHash,address node,bytes32 outputHash,uint32 outputTokens,uint8 finish,uint64 servedAt,address payTo)"
    );
    bytes32 internal constant PAYMENT_TYPEHASH =
        keccak256("Payment(address payer,address payee,uint256 amount,bytes data,uint256 nonce,uint64 deadline)");

    uint256 internal constant JOB_LENGTH = 640;
    uint256 internal constant COMPLETION_LENGTH = 224;

    /// @dev Every member is static and a word in calldata, as in encodeData: one copy makes the preimage. A member with dirty high
    /// bits gives a hash that nobody signed, and reverts when it is read.
    function hash(Job calldata job) internal pure returns (bytes32 result) {
        bytes32 typeHash = JOB_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), job, JOB_LENGTH)
            result := keccak256(free, add(32, JOB_LENGTH))
        }
    }

    /// @dev As for a Job.
    function hash(Completion calldata completion) internal pure returns (bytes32 result) {
        bytes32 typeHash = COMPLETION_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), completion, COMPLETION_LENGTH)
            result := keccak256(free, add(32, COMPLETION_LENGTH))
        }
    }

    function hash(Payment calldata payment) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                PAYMENT_TYPEHASH,
                payment.payer,
                payment.payee,
                payment.amount,
                keccak256(payment.data),
                payment.nonce,
                payment.deadline
            )
        );
    }

    /// @return The digest that a node's operator signs to accept a job.
    function acceptance(bytes32 domainSeparator, bytes32 jobHash, uint64 expires) internal pure returns (bytes32) {
        return
            MessageHashUtils.toTypedDataHash(
                domainSeparator, keccak256(abi.encode(ACCEPTANCE_TYPEHASH, jobHash, expires))
            );
    }
}
