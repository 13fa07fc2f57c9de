// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, IJobEscrowPayments, Job, Completion, Status} from "../Base.t.sol";

/// @notice Calldata whose unused high bits are set. The escrow hashes members as they lie in calldata, so such a message has a hash
/// of its own, which none may bring into the world.
contract DirtyCalldataTest is Base {
    uint256 private constant SELECTOR = 4;
    /// @dev Bits each member uses, in order.
    uint16[20] private jobBits =
        [160, 256, 160, 160, 64, 32, 256, 32, 32, 256, 64, 32, 32, 64, 64, 64, 128, 64, 256, 256];
    uint16[7] private completionBits = [256, 160, 256, 32, 8, 64, 160];

    function dirty(bytes memory data, uint256 offset, uint256 bits) private pure returns (bytes memory copy) {
        copy = bytes.concat(data);
        assembly ("memory-safe") {
            let at := add(add(copy, 32), offset)
            mstore(at, or(mload(at), shl(bits, 1)))
        }
    }

    function jobHashOf(bytes memory openData) private pure returns (bytes32) {
        bytes memory members = new bytes(640);
        for (uint256 i = 0; i < 640; ++i) {
            members[i] = openData[SELECTOR + i];
        }
        return keccak256(
            bytes.concat(
                keccak256(
                    "Job(address collector,bytes32 channel,address client,address node,uint64 modelId,uint32 version,bytes32 promptHash,uint32 promptTokens,uint32 maxTokens,bytes32 secretHash,uint64 seed,uint32 temperature,uint32 topP,uint64 inputPrice,uint64 outputPrice,uint64 modelFee,uint128 ceiling,uint64 deadline,bytes32 bitClass,bytes32 clientKey)"
                ),
                members
            )
        );
    }

    /// @dev The node accepted the clean job: no dirty twin of it opens.
    function test_open_noDirtyTwinOfAnAcceptedJob() public {
        bytes memory data = openCall(aJob());
        for (uint256 i = 0; i < 20; ++i) {
            if (jobBits[i] == 256) continue;
            for (uint256 bit = jobBits[i]; bit < 256; bit += 255 - jobBits[i]) {
                bytes memory bad = dirty(data, SELECTOR + 32 * i, bit);
                vm.prank(client);
                vm.expectRevert();
                vault.payAndCall(address(escrow), CEILING, bad);
            }
        }
        bytes memory badExpiry = dirty(data, SELECTOR + 640, 64);
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(address(escrow), CEILING, badExpiry);
        vm.prank(client);
        vault.payAndCall(address(escrow), CEILING, data);
    }

    /// @dev Client and operator together sign a hash that no EIP-712 message has: refused for every member, or there could be a job
    /// that is paid and can't be challenged.
    function test_open_notEvenByConspirators() public {
        bytes memory data = openCall(aJob());
        for (uint256 i = 0; i < 20; ++i) {
            if (jobBits[i] == 256) continue;
            bytes memory bad = dirty(data, SELECTOR + 32 * i, jobBits[i]);
            bytes32 id = jobHashOf(bad);
            (bytes32 r, bytes32 vs) = vm.signCompact(operatorKey, acceptance(id, soon()));
            assembly ("memory-safe") {
                mstore(add(add(bad, 32), 676), r)
                mstore(add(add(bad, 32), 708), vs)
            }
            vm.prank(client);
            vm.expectRevert();
            vault.payAndCall(address(escrow), CEILING, bad);
        }
    }

    /// @dev A node that alone dirties its completion would make one that nobody else can name: refused for every member.
    function test_complete_refusesEveryDirtyMember() public {
        Job memory job = aJob();
        open(job);
        bytes memory data = abi.encodeCall(IJobEscrow.complete, (completionOf(job)));
        for (uint256 i = 0; i < 7; ++i) {
            if (completionBits[i] == 256) continue;
            bytes memory bad = dirty(data, SELECTOR + 32 * i, completionBits[i]);
            vm.prank(operator);
            (bool ok,) = address(escrow).call(bad);
            assertFalse(ok);
        }
        vm.prank(operator);
        (bool good,) = address(escrow).call(data);
        assertTrue(good);
    }

    /// @dev One commitment, one completion: no dirty twin closes the job.
    function test_noDirtyTwinOfACompletion() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        bytes memory data = abi.encodeCall(IJobEscrow.approve, (job, completion));
        for (uint256 i = 0; i < 27; ++i) {
            uint256 bits = i < 20 ? jobBits[i] : completionBits[i - 20];
            if (bits == 256) continue;
            bytes memory bad = dirty(data, SELECTOR + 32 * i, bits);
            vm.prank(client);
            (bool ok,) = address(escrow).call(bad);
            assertFalse(ok);
        }
        assertStatus(completion.jobHash, Status.Completed);
    }

    /// @dev Trailing bytes behind a demand change nothing.
    function test_demand_trailingBytes() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        bytes memory data =
            bytes.concat(abi.encodeCall(IJobEscrowPayments.demandDelivery, (job, completion)), hex"ffff");
        vm.prank(client);
        vault.payAndCall(address(escrow), DELIVERY_COST, data);
        assertStatus(completion.jobHash, Status.Demanded);
    }

    /// @dev Offsets of the evidence that point outside of the call.
    function test_challenge_wildOffsets() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        bytes memory data = challengeCall(job, completion);
        uint256[4] memory offsets = [uint256(0), 0xffff, type(uint64).max, type(uint256).max];
        for (uint256 i = 0; i < offsets.length; ++i) {
            for (uint256 member = 28; member < 30; ++member) {
                bytes memory bad = bytes.concat(data);
                uint256 offset = offsets[i];
                assembly ("memory-safe") {
                    mstore(add(add(bad, 36), mul(32, member)), offset)
                }
                vm.prank(client);
                vm.expectRevert();
                vault.payAndCall(address(escrow), 3e6, bad);
            }
        }
        assertStatus(completion.jobHash, Status.Completed);
    }
}
