// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Job, Completion, Status, IJobEscrow, IDisputeCourt, Case} from "./CourtBase.t.sol";
import {IJobEscrowPayments} from "contracts/interfaces/IJobEscrow.sol";

/// @notice Challenges that must not be: each says why, and leaves everything as it was.
contract BadInputTest is CourtBase {
    Job private _job;
    Completion private _done;

    function setUp() public override {
        super.setUp();
        seated(15, 0);
        _job = aJob();
        _done = completed(_job);
    }

    function evidence(bytes32 secret, bytes memory prompt, bytes memory output) private view returns (bytes memory) {
        return abi.encodeCall(IJobEscrowPayments.challenge, (_job, _done, secret, prompt, output));
    }

    /// @dev The error, and that nothing is locked: no money moved, no case was opened, the job's clock still runs, and it ends as any other.
    function refused(address who, uint256 bond, bytes memory data, bytes memory error) private {
        (Status status, uint256 until) = escrow.jobStatus(_done.jobHash);
        uint256 had = vault.balanceOf(who);
        uint256 inCourt = vault.balanceOf(address(dc));
        uint256 inEscrow = vault.balanceOf(address(escrow));
        vm.prank(who);
        vm.expectRevert(error);
        vault.payAndCall(address(escrow), bond, data);
        assertEq(vault.balanceOf(who), had, "the bond");
        assertEq(vault.balanceOf(address(dc)), inCourt);
        assertEq(vault.balanceOf(address(escrow)), inEscrow);
        assertStatus(_done.jobHash, status, until);
        if (status != Status.Completed) return;
        assertEq(uint256(dc.rulingOf(idOf(_job, _done))), 0, "no case");
        uint256 reserved = reservedOf(node);
        uint256 before = vm.snapshotState();
        if (block.timestamp <= until) vm.warp(until + 1);
        Job[] memory jobs = new Job[](1);
        Completion[] memory completions = new Completion[](1);
        (jobs[0], completions[0]) = (_job, _done);
        assertEq(escrow.finalize(jobs, completions), 1, "the node is paid");
        assertEq(reservedOf(node), reserved - PENALTY, "and its stake is free");
        vm.revertToState(before);
    }

    function refused(bytes memory data, bytes memory error) private {
        refused(client, BOND, data, error);
    }

    function wrongTokens(bytes memory found, bytes32 expected) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, keccak256(found), expected, found.length);
    }

    function test_aMegabyteOfPrompt() public {
        bytes memory huge = masked("prompt", 250_000);
        refused(evidence(SECRET, huge, maskedOutput()), wrongTokens(huge, _job.promptHash));
    }

    function test_aMegabyteOfOutput() public {
        bytes memory huge = masked("output", 250_000);
        refused(evidence(SECRET, maskedPrompt(), huge), wrongTokens(huge, _done.outputHash));
    }

    /// @dev Its hash is right: client and node agreed on it. The job can't be opened, so there is nothing to challenge.
    function test_aMegabyteThatBothSigned() public {
        Job memory job = aJob();
        job.promptTokens = 250_000;
        job.promptHash = keccak256(masked("prompt", 250_000));
        job.ceiling = 30e6;
        bytes memory data = openCall(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadTokenCount.selector, 250_000, MAX_TOKENS, 16_384));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    function test_anotherJobsTokens() public {
        bytes memory others = masked("another job's", PROMPT_TOKENS);
        refused(evidence(SECRET, others, maskedOutput()), wrongTokens(others, _job.promptHash));
        others = masked("another job's", OUTPUT_TOKENS);
        refused(evidence(SECRET, maskedPrompt(), others), wrongTokens(others, _done.outputHash));
        // Its own, in the wrong places.
        refused(evidence(SECRET, maskedOutput(), maskedPrompt()), wrongTokens(maskedPrompt(), _done.outputHash));
    }

    function test_anotherJobsCompletion() public {
        Job memory job = aJob();
        job.seed = 8;
        Completion memory other = completed(job);
        bytes memory data =
            abi.encodeCall(IJobEscrowPayments.challenge, (_job, other, SECRET, maskedPrompt(), maskedOutput()));
        refused(data, abi.encodeWithSelector(IJobEscrow.WrongCompletion.selector, _done.jobHash));
    }

    function test_aWrongSecret() public {
        bytes32 wrong = keccak256("wrong");
        refused(
            evidence(wrong, maskedPrompt(), maskedOutput()),
            abi.encodeWithSelector(IJobEscrow.WrongSecret.selector, keccak256(abi.encode(wrong)), _job.secretHash)
        );
    }

    function test_afterTheWindow() public {
        (, uint256 until) = escrow.jobStatus(_done.jobHash);
        vm.warp(until + 1);
        refused(challengeCall(_job, _done), abi.encodeWithSelector(IJobEscrow.WindowClosed.selector, until, until + 1));
    }

    function test_twiceForOneJob() public {
        vm.prank(client);
        vault.payAndCall(address(escrow), BOND, challengeCall(_job, _done));
        refused(
            challengeCall(_job, _done),
            abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, _done.jobHash, Status.Disputed)
        );
        // Nor once it was judged.
        Case memory c = caseOf(_job, _done);
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        dc.close(address(escrow), c);
        refused(
            challengeCall(_job, _done),
            abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, _done.jobHash, Status.RuledUndecided)
        );
        escrow.closeDispute(_job, _done);
        refused(
            challengeCall(_job, _done),
            abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, _done.jobHash, Status.Final)
        );
    }

    function test_tooSmallABond() public {
        refused(
            client,
            BOND - 1,
            challengeCall(_job, _done),
            abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, BOND - 1, BOND)
        );
        // Nor a larger one: what is more than the seats need would be nobody's.
        refused(
            client,
            BOND + 1,
            challengeCall(_job, _done),
            abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, BOND + 1, BOND)
        );
    }

    function test_notTheClient() public {
        address[2] memory others = [stranger, node];
        for (uint256 i = 0; i < 2; ++i) {
            fund(others[i], BOND);
            refused(
                others[i],
                BOND,
                challengeCall(_job, _done),
                abi.encodeWithSelector(IJobEscrow.NotClient.selector, others[i], client)
            );
        }
    }

    function test_beforeThereIsAnAnswer() public {
        Job memory job = aJob();
        job.seed = 9;
        bytes32 id = open(job);
        Completion memory none = completionOf(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Open));
        vault.payAndCall(address(escrow), BOND, challengeCall(job, none));
        assertStatus(id, Status.Open);
    }
}
