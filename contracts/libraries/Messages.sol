// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Job, Completion} from "../interfaces/IJobEscrow.sol";
import {Payment} from "../interfaces/IVault.sol";
import {Channel, Receipt} from "../interfaces/IVoucherCollector.sol";

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
    bytes32 internal constant CHANNEL_TYPEHASH = keccak256(
        "Channel(address collector,address payer,address payee,address signer,address payTo,uint64 modelId,uint64 inputPrice,uint64 outputPrice,uint64 modelFee,uint64 nonce)"
    );
    bytes32 internal constant CHANNEL_ACCEPTANCE_TYPEHASH =
        keccak256("ChannelAcceptance(bytes32 channel,uint128 deposit,uint64 expires)");
    bytes32 internal constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(bytes32 channel,address payer,address payee,uint128 cumulativeAmount,uint128 cumulativeModelFee)"
    );
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 jobHash,address node,bytes32 outputHash,uint32 outputTokens,uint8 finish,uint64 servedAt,address payTo,bytes32 channel,uint128 cumulativeAmount,uint128 cumulativeModelFee)"
    );

    uint256 internal constant JOB_LENGTH = 640;
    uint256 internal constant COMPLETION_LENGTH = 224;
    uint256 internal constant CHANNEL_LENGTH = 320;
    uint256 internal constant RECEIPT_LENGTH = 320;

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

    /// @dev As for a Job. It is the channel's id.
    function hash(Channel calldata channel) internal pure returns (bytes32 result) {
        bytes32 typeHash = CHANNEL_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), channel, CHANNEL_LENGTH)
            result := keccak256(free, add(32, CHANNEL_LENGTH))
        }
    }

    /// @dev As for a Job.
    function hash(Receipt calldata receipt) internal pure returns (bytes32 result) {
        bytes32 typeHash = RECEIPT_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), receipt, RECEIPT_LENGTH)
            result := keccak256(free, add(32, RECEIPT_LENGTH))
        }
    }

    /// @dev A receipt's first members are a Completion's.
    function completionOf(Receipt calldata receipt) internal pure returns (Completion calldata completion) {
        assembly ("memory-safe") {
            completion := receipt
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

    /// @return The digest that a node's operator signs to accept a channel of at least this deposit.
    function channelAcceptance(bytes32 domainSeparator, bytes32 channel, uint128 deposit, uint64 expires)
        internal
        pure
        returns (bytes32)
    {
        return MessageHashUtils.toTypedDataHash(
            domainSeparator, keccak256(abi.encode(CHANNEL_ACCEPTANCE_TYPEHASH, channel, deposit, expires))
        );
    }

    /// @return The digest that a channel's session key signs to pay.
    function voucher(
        bytes32 domainSeparator,
        bytes32 channel,
        address payer,
        address payee,
        uint128 cumulativeAmount,
        uint128 cumulativeModelFee
    ) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            domainSeparator,
            keccak256(abi.encode(VOUCHER_TYPEHASH, channel, payer, payee, cumulativeAmount, cumulativeModelFee))
        );
    }

    /// @return The digest that a node's operator signs as it answers.
    function receiptDigest(bytes32 domainSeparator, bytes32 subject) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator, subject);
    }
}
