// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, Ruling, Vote, Phase, Job, Completion, Status} from "./CourtBase.t.sol";
import {IJobEscrowPayments} from "contracts/interfaces/IJobEscrow.sol";

/// @notice The dearest transactions of all fit where they must: EIP-7825 allows one 2^24 gas.
contract LimitsTest is CourtBase {
    uint256 private constant MOST = 1 << 24;
    /// @dev EIP-7623's floor for a byte that is not zero, and what each transaction costs.
    uint256 private constant CALLDATA = 40;
    uint256 private constant INTRINSIC = 21_000;

    /// @dev 64 KiB, through the escrow, the Vault twice, and the court's log.
    function test_theLongestEvidence() public {
        seated(15, 0);
        Job memory job = aJob();
        bytes memory prompt = masked("prompt", 8192);
        bytes memory output = masked("output", 8192);
        (job.promptTokens, job.maxTokens, job.promptHash) = (8192, 8192, keccak256(prompt));
        job.ceiling = 3e6;
        open(job);
        Completion memory completion = completionOf(job);
        (completion.outputTokens, completion.finish, completion.outputHash) = (8192, 1, keccak256(output));
        complete(completion);
        bytes memory data = abi.encodeCall(IJobEscrowPayments.challenge, (job, completion, SECRET, prompt, output));
        uint256 bond = dc.bondFor(16_384);
        vm.prank(client);
        uint256 gas_ = gasleft();
        vault.payAndCall(address(escrow), bond, data);
        gas_ -= gasleft();
        assertStatus(completion.jobHash, Status.Disputed);
        assertLt(gas_ + data.length * 16 + INTRINSIC, MOST / 4);
        assertLt(data.length * CALLDATA + INTRINSIC, MOST / 4, "the floor");
    }

    /// @dev Both panels of an exact case silent: 18 seats are fined, and each is taken out of its four pools.
    function test_theDearestClosing() public {
        seated(40, CLASS);
        Job memory job = aJob();
        job.bitClass = CLASS;
        (, Case memory c, bytes32 id) = challenged(job);
        drawPanel(id);
        (,, uint256 until) = dc.phaseOf(id);
        vm.warp(until + 1);
        fundAppeal(c);
        drawPanel(id);
        (,, until) = dc.phaseOf(id);
        vm.warp(until + 1);
        assertPhase(id, Phase.Final);
        vm.cool(address(dc));
        vm.cool(address(registry));
        vm.cool(address(vault));
        uint256 gas_ = gasleft();
        dc.close(address(escrow), c);
        gas_ -= gasleft();
        assertStatus(c.subject, Status.RuledUndecided);
        assertLt(gas_, MOST / 3);
    }
}
