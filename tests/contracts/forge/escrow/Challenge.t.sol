// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Base,
    IJobEscrow,
    IJobEscrowPayments,
    Job,
    Completion,
    Case,
    EscrowConfig,
    ICourt,
    IVault,
    Status
} from "../Base.t.sol";
import {CourtDouble} from "../doubles/CourtDouble.sol";

contract ChallengeTest is Base {
    function call(
        Job memory job,
        Completion memory completion,
        bytes32 secret,
        bytes memory prompt,
        bytes memory output
    ) private pure returns (bytes memory) {
        return abi.encodeCall(IJobEscrowPayments.challenge, (job, completion, secret, prompt, output));
    }

    function refuses(bytes memory data, bytes memory error) private {
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(escrow), bond, data);
    }

    function test_opensACase() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        uint256 before = vault.balanceOf(client);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobChallenged(completion.jobHash, block.timestamp + DISPUTE_LIMIT);
        challenge(job, completion);
        assertStatus(completion.jobHash, Status.Disputed, block.timestamp + DISPUTE_LIMIT);
        assertEq(vault.balanceOf(client), before - court.BOND());
        assertEq(vault.balanceOf(address(court)), court.BOND());
        assertEq(vault.balanceOf(address(escrow)), CEILING);
        assertEq(court.lastBond(), court.BOND());
        assertEq(court.lastPromptHash(), job.promptHash);
        assertEq(court.lastOutputHash(), completion.outputHash);
    }

    function test_theCaseIsTheJobAsSigned() public {
        Job memory job = aJob();
        Completion memory completion = disputed(job);
        Case memory found = court.case_();
        Case memory expected;
        expected.subject = completion.jobHash;
        expected.challenger = client;
        expected.node = node;
        expected.modelId = modelId;
        expected.version = job.version;
        expected.promptTokens = job.promptTokens;
        expected.outputTokens = completion.outputTokens;
        expected.maxTokens = job.maxTokens;
        expected.finish = completion.finish;
        expected.seed = job.seed;
        expected.temperature = job.temperature;
        expected.topP = job.topP;
        expected.bitClass = job.bitClass;
        expected.secret = SECRET;
        assertEq(keccak256(abi.encode(found)), keccak256(abi.encode(expected)));
    }

    function test_saysSoWithoutACourt() public {
        EscrowConfig memory c = defaultConfig();
        c.court = ICourt(address(0));
        escrow = deployEscrow(c);
        vm.prank(node);
        registry.provision(address(escrow), modelId, PENALTY);
        Job memory job = aJob();
        Completion memory completion = completed(job);
        refuses(challengeCall(job, completion), abi.encodeWithSelector(IJobEscrow.NoCourt.selector));
        assertStatus(completion.jobHash, Status.Completed);
    }

    function test_theClientAlone() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        fund(stranger, 3e6);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotClient.selector, stranger, client));
        vault.payAndCall(address(escrow), 3e6, challengeCall(job, completion));
    }

    function test_withinTheWindow() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        uint256 until = block.timestamp + CHALLENGE_WINDOW;
        vm.warp(until + 1);
        refuses(
            challengeCall(job, completion), abi.encodeWithSelector(IJobEscrow.WindowClosed.selector, until, until + 1)
        );
        vm.warp(until);
        challenge(job, completion);
    }

    function test_afterDelivery() public {
        Job memory job = aJob();
        Completion memory completion = delivered(job);
        challenge(job, completion);
        assertStatus(completion.jobHash, Status.Disputed);
    }

    function test_notWhileDemandedNorTwice() public {
        Job memory job = aJob();
        Completion memory completion = demanded(job);
        bytes32 id = completion.jobHash;
        refuses(
            challengeCall(job, completion), abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Demanded)
        );
        escrow.deliver(job, completion, maskedOutput());
        challenge(job, completion);
        refuses(
            challengeCall(job, completion), abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Disputed)
        );
    }

    /// @dev Bad evidence burns no case: everything is undone, and the client may try again.
    function test_evidenceIsChecked() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        bytes memory prompt = maskedPrompt();
        bytes memory output = maskedOutput();
        bytes memory wrong = masked("wrong", PROMPT_TOKENS);
        refuses(
            call(job, completion, SECRET, wrong, output),
            abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, keccak256(wrong), job.promptHash, wrong.length)
        );
        wrong = masked("wrong", OUTPUT_TOKENS);
        refuses(
            call(job, completion, SECRET, prompt, wrong),
            abi.encodeWithSelector(
                IJobEscrow.WrongTokens.selector, keccak256(wrong), completion.outputHash, wrong.length
            )
        );
        bytes32 hash = keccak256(abi.encode(bytes32(0)));
        refuses(
            call(job, completion, 0, prompt, output),
            abi.encodeWithSelector(IJobEscrow.WrongSecret.selector, hash, job.secretHash)
        );
        assertStatus(completion.jobHash, Status.Completed);
        challenge(job, completion);
    }

    /// @dev A prompt longer than the job says, whose hash is right: the client lied in the job, so it has no case.
    function test_thePromptsLengthIsChecked() public {
        Job memory job = aJob();
        job.promptTokens = PROMPT_TOKENS - 1;
        Completion memory completion = completed(job);
        bytes memory prompt = maskedPrompt();
        refuses(
            challengeCall(job, completion),
            abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, job.promptHash, job.promptHash, prompt.length)
        );
    }

    function test_theCourtSetsTheBond() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(CourtDouble.BondTooSmall.selector, bond - 1, bond));
        vault.payAndCall(address(escrow), bond - 1, challengeCall(job, completion));
        assertStatus(completion.jobHash, Status.Completed);
    }

    /// @dev A court that calls back while it is being paid finds the door shut.
    function test_reentrantCourt() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        court.callOnPayment(address(escrow), abi.encodeCall(IJobEscrow.closeDispute, (job, completion)));
        challenge(job, completion);
        assertFalse(court.callSucceeded());
        assertStatus(completion.jobHash, Status.Disputed);
    }

    function test_theLongestEvidence() public {
        Job memory job = aJob();
        bytes memory prompt = masked("prompt", 8192);
        bytes memory output = masked("output", 8192);
        (job.promptTokens, job.maxTokens, job.promptHash) = (8192, 8192, keccak256(prompt));
        job.ceiling = 3e6;
        open(job);
        Completion memory completion = completionOf(job);
        (completion.outputTokens, completion.finish, completion.outputHash) = (8192, 1, keccak256(output));
        complete(completion);
        vm.prank(client);
        vault.payAndCall(address(escrow), 3e6, call(job, completion, SECRET, prompt, output));
        assertStatus(completion.jobHash, Status.Disputed);
    }
}
