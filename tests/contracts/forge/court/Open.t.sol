// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    CourtBase,
    Case,
    Ruling,
    Vote,
    Phase,
    Job,
    Completion,
    Status,
    IDisputeCourt,
    IJobEscrow,
    Round,
    Progress
} from "./CourtBase.t.sol";
import {Opener} from "../doubles/Openers.sol";

contract OpenTest is CourtBase {
    function refused(uint256 amount, bytes memory call, bytes memory error) private {
        fund(client, amount);
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(dc), amount, call);
    }

    function aCase() private view returns (Case memory c) {
        c = caseOf(aJob(), completionOf(aJob()));
        c.bitClass = 0;
    }

    function data(Case memory c) private pure returns (bytes memory) {
        return abi.encode(c, maskedPrompt(), maskedOutput());
    }

    function test_opens() public {
        seated(15, 0);
        Completion memory completion = completed(aJob());
        Case memory c = caseOf(aJob(), completion);
        bytes32 id = idOf(aJob(), completion);
        vm.expectEmit(address(dc));
        emit IDisputeCourt.DisputeOpened(
            id, address(escrow), modelId, false, false, true, uint64(block.number + 2), data(c)
        );
        vm.prank(client);
        vault.payAndCall(address(escrow), BOND, challengeCall(aJob(), completion));
        assertPhase(id, Phase.Drawing);
        assertEq(vault.balanceOf(address(dc)), BOND);
        (, uint256 round, uint256 until) = dc.phaseOf(id);
        assertEq(round, 0);
        assertEq(until, block.timestamp + DRAW_WINDOW);
        assertRuling(id, Ruling.Undecided);
    }

    /// @dev (seats of the model and class, of the class elsewhere, of the model without class) and what must come of it.
    function test_whoJudges() public {
        check(15, 0, 0, true, false, true);
        check(3, 12, 0, true, false, true);
        // The class can't serve the appeal: the tolerant rule.
        check(3, 11, 0, false, false, false);
        check(3, 11, 1, false, false, true);
        // The class can, but not for this model.
        check(2, 13, 1, false, false, true);
        // The model has too few seats: all seats.
        check(2, 13, 0, false, true, true);
        check(0, 3, 0, false, true, false);
    }

    function check(uint256 both, uint256 elsewhere, uint256 plain, bool exact, bool network, bool appealable) private {
        uint256 before = vm.snapshotState();
        vm.prank(trainer);
        (uint64 other,) = models.register("other", "O", MANIFEST, MODEL_FEE, SUPPLY);
        seatJudges(0, both, modelId, CLASS);
        seatJudges(100, elsewhere, other, CLASS);
        seatJudges(200, plain, modelId, 0);
        passPeriods(2);
        Job memory job = aJob();
        job.bitClass = CLASS;
        Completion memory completion = completed(job);
        vm.expectEmit(address(dc));
        emit IDisputeCourt.DisputeOpened(
            idOf(job, completion),
            address(escrow),
            modelId,
            exact,
            network,
            appealable,
            uint64(block.number + 2),
            data(caseOf(job, completion))
        );
        vm.prank(client);
        vault.payAndCall(address(escrow), BOND, challengeCall(job, completion));
        bytes32 id = idOf(job, completion);
        drawPanel(id);
        (, uint32[] memory seats,) = dc.panelOf(id, 0);
        for (uint256 i = 0; i < 3; ++i) {
            if (exact) assertEq(dc.seatOf(seats[i]).bitClass, CLASS);
            if (!network) assertEq(dc.seatOf(seats[i]).modelId, modelId);
        }
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        assertPhase(id, appealable ? Phase.Appealable : Phase.Final);
        if (exact) {
            fundAppeal(caseOf(job, completion));
            drawPanel(id);
            (, seats,) = dc.panelOf(id, 1);
            for (uint256 i = 0; i < 15; ++i) {
                assertEq(dc.seatOf(seats[i]).bitClass, CLASS);
            }
        }
        vm.revertToState(before);
    }

    function test_refusedWithoutSeats() public {
        seated(2, 0);
        refused(BOND, data(aCase()), abi.encodeWithSelector(IDisputeCourt.NotEnoughSeats.selector, 2, 3));
        Job memory job = aJob();
        Completion memory completion = completed(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.NotEnoughSeats.selector, 2, 3));
        vault.payAndCall(address(escrow), BOND, challengeCall(job, completion));
        assertStatus(completion.jobHash, Status.Completed);
    }

    /// @dev A seat taken once a dispute can be foreseen is too young, one left is still drawn.
    function test_seatsOfThePeriodBefore() public {
        seatJudges(0, 2, modelId, 0);
        passPeriods(1);
        seatJudges(2, 1, modelId, 0);
        bytes memory error = abi.encodeWithSelector(IDisputeCourt.NotEnoughSeats.selector, 0, 3);
        refused(BOND, data(aCase()), error);
        passPeriods(1);
        refused(BOND, data(aCase()), abi.encodeWithSelector(IDisputeCourt.NotEnoughSeats.selector, 2, 3));
        passPeriods(1);
        vm.prank(judges[0]);
        dc.leaveSeat(1);
        passPeriods(1);
        (, bytes32 id) = challenged();
        drawPanel(id);
        passPeriods(1);
        Case memory c = aCase();
        c.subject = bytes32(uint256(1));
        refused(BOND, data(c), abi.encodeWithSelector(IDisputeCourt.NotEnoughSeats.selector, 2, 3));
    }

    function test_theBondExactly() public {
        seated(3, 0);
        assertEq(dc.bondFor(TOKENS), BOND);
        refused(BOND - 1, data(aCase()), abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, BOND - 1, BOND));
        refused(BOND + 1, data(aCase()), abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, BOND + 1, BOND));
        Completion memory completion = completed(aJob());
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, BOND - 1, BOND));
        vault.payAndCall(address(escrow), BOND - 1, challengeCall(aJob(), completion));
    }

    function test_once() public {
        seated(3, 0);
        (Case memory c, bytes32 id) = challenged();
        Opener opener = new Opener(vault, address(dc));
        fund(address(opener), 2 * BOND);
        // Another opener's case of the same subject is another case.
        opener.open(BOND, data(c));
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.CaseExists.selector, dc.disputeId(address(opener), c)));
        opener.open(BOND, data(c));
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, c.subject, Status.Disputed));
        vault.payAndCall(address(escrow), BOND, challengeCall(job_, completion_));
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        finish(c);
        assertPhase(id, Phase.Final);
    }

    function test_evidenceOfTheSizeStated() public {
        seated(3, 0);
        Case memory c = aCase();
        uint256 right = data(c).length;
        c.promptTokens += 8;
        refused(
            dc.bondFor(TOKENS + 8),
            data(c),
            abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, right, right + 32, TOKENS + 8, 16_384)
        );
        c.promptTokens = 16_384;
        uint256 tokens = 16_384 + OUTPUT_TOKENS;
        refused(
            dc.bondFor(tokens),
            abi.encode(c, masked("long", 16_384), maskedOutput()),
            abi.encodeWithSelector(
                IDisputeCourt.BadEvidence.selector,
                448 + 96 + 65_536 + 32 + 32,
                448 + 96 + 65_536 + 32 + 32,
                tokens,
                16_384
            )
        );
        c.promptTokens = 0;
        c.outputTokens = 0;
        refused(
            dc.bondFor(0),
            abi.encode(c, "", ""),
            abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, 576, 576, 0, 16_384)
        );
        refused(0, hex"1234", abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, 2, 448, 0, 16_384));
    }

    /// @dev Nothing to judge, or nothing to judge it by: no job has either.
    function test_bothPromptAndOutput() public {
        seated(3, 0);
        Case memory c = aCase();
        c.outputTokens = 0;
        refused(
            dc.bondFor(PROMPT_TOKENS),
            abi.encode(c, maskedPrompt(), ""),
            abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, 768, 768, PROMPT_TOKENS, 16_384)
        );
        (c.promptTokens, c.outputTokens) = (0, OUTPUT_TOKENS);
        refused(
            dc.bondFor(OUTPUT_TOKENS),
            abi.encode(c, "", maskedOutput()),
            abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, 608, 608, OUTPUT_TOKENS, 16_384)
        );
    }

    /// @dev Strict decoders refuse what follows the bytes to the end of their word, unless it is zero: such a case would silence honest seats.
    function test_paddingIsZero() public {
        seated(3, 0);
        bytes memory right = data(aCase());
        uint256 promptEnd = 448 + 96 + 4 * PROMPT_TOKENS;
        uint256 outputEnd = right.length - 32 + 4 * OUTPUT_TOKENS % 32;
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory altered = bytes.concat(right);
            // The first and the last byte of either padding.
            uint256 at =
                i == 0 ? promptEnd : i == 1 ? (promptEnd + 31) / 32 * 32 - 1 : i == 2 ? outputEnd : right.length - 1;
            altered[at] = 0x01;
            refused(
                BOND,
                altered,
                abi.encodeWithSelector(IDisputeCourt.BadEvidence.selector, right.length, right.length, TOKENS, 16_384)
            );
        }
        vm.prank(client);
        vault.payAndCall(address(dc), BOND, right);
    }

    /// @dev Any lengths: canonical evidence opens, and with one bit of padding set it does not.
    /// forge-config: default.fuzz.runs = 500
    function testFuzz_paddingOfAnyLength(uint256 promptTokens, uint256 outputTokens, uint256 bit) public {
        seated(3, 0);
        promptTokens = bound(promptTokens, 1, 40);
        outputTokens = bound(outputTokens, 1, 40);
        Case memory c = aCase();
        (c.promptTokens, c.outputTokens) = (uint32(promptTokens), uint32(outputTokens));
        bytes memory call = abi.encode(c, masked("prompt", promptTokens), masked("output", outputTokens));
        uint256 bond = dc.bondFor(promptTokens + outputTokens);
        uint256 spare = 32 - 4 * outputTokens % 32;
        if (spare != 32) {
            bytes memory altered = bytes.concat(call);
            bit = bound(bit, 0, 8 * spare - 1);
            altered[call.length - 1 - bit / 8] = bytes1(uint8(1 << bit % 8));
            vm.prank(client);
            vm.expectPartialRevert(IDisputeCourt.BadEvidence.selector);
            vault.payAndCall(address(dc), bond, altered);
        }
        vm.prank(client);
        vault.payAndCall(address(dc), bond, call);
        assertPhase(dc.disputeId(client, c), Phase.Drawing);
    }

    /// @dev Model 0 is nobody's: its pools are those of all models. A case of a class but of no model would bind seats that never undertook
    /// to run it, and fine them for saying that they can't.
    function test_noModelHasNoClass() public {
        seated(15, CLASS);
        Case memory c = aCase();
        (c.modelId, c.bitClass) = (0, CLASS);
        vm.expectEmit(address(dc));
        emit IDisputeCourt.DisputeOpened(
            dc.disputeId(client, c), client, 0, false, true, true, uint64(block.number + 2), data(c)
        );
        vm.prank(client);
        vault.payAndCall(address(dc), BOND, data(c));
        bytes32 id = dc.disputeId(client, c);
        drawPanel(id);
        uint256 staked = vault.balanceOf(address(registry));
        vote(id, three(Vote.Unable, Vote.Unable, Vote.Unable));
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        dc.close(client, c);
        assertEq(vault.balanceOf(address(registry)), staked, "nobody is fined");
    }

    /// @dev A megabyte of evidence.
    function test_muchTooMuch() public {
        seated(3, 0);
        Case memory c = aCase();
        c.promptTokens = 250_000;
        fund(client, 10e6);
        uint256 bond = dc.bondFor(250_000 + OUTPUT_TOKENS);
        bytes memory call = abi.encode(c, masked("huge", 250_000), maskedOutput());
        vm.prank(client);
        vm.expectPartialRevert(IDisputeCourt.BadEvidence.selector);
        vault.payAndCall(address(dc), bond, call);
    }

    /// @dev What an honest verifier can't decode must not be opened: it would be fined for its silence.
    /// Fewer runs than by default, 4 ms each; there are 850 bytes to change.
    /// forge-config: default.fuzz.runs = 1500
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_onlyTheCanonicalEncoding(uint256 at, uint8 change) public {
        seated(3, 0);
        bytes memory call = data(aCase());
        // Of the case's members only those narrower than a word, then the offsets and lengths.
        at = bound(at, 0, call.length - 1);
        vm.assume(change != 0);
        bytes memory altered = bytes.concat(call);
        altered[at] = bytes1(uint8(altered[at]) ^ change);
        fund(client, 100e6);
        vm.prank(client);
        try vault.payAndCall(address(dc), BOND, altered) {
            (Case memory c, bytes memory prompt, bytes memory output) = abi.decode(altered, (Case, bytes, bytes));
            assertEq(keccak256(abi.encode(c, prompt, output)), keccak256(altered), "an encoding of its own");
            assertEq(prompt.length, 4 * PROMPT_TOKENS);
            assertEq(output.length, 4 * OUTPUT_TOKENS);
            bytes32 id = dc.disputeId(client, c);
            assertPhase(id, Phase.Drawing);
        } catch {}
    }

    function test_partiesThatCanBePaid() public {
        seated(3, 0);
        address[2] memory bad = [address(0), address(vault)];
        for (uint256 i = 0; i < 2; ++i) {
            Case memory c = aCase();
            c.challenger = bad[i];
            refused(BOND, data(c), abi.encodeWithSelector(IDisputeCourt.BadParty.selector, bad[i]));
            c = aCase();
            c.node = bad[i];
            refused(BOND, data(c), abi.encodeWithSelector(IDisputeCourt.BadParty.selector, bad[i]));
        }
    }

    function test_onlyTheVaultPays() public {
        bytes memory call = data(aCase());
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.NotVault.selector, address(this)));
        dc.onVaultPayment(client, BOND, call);
    }

    function test_nothingIsKnownOfOthers() public {
        bytes32 id = keccak256("nothing");
        assertPhase(id, Phase.None);
        assertRuling(id, Ruling.None);
        bytes memory error = abi.encodeWithSelector(IDisputeCourt.UnknownCase.selector, id);
        vm.expectRevert(error);
        dc.draw(id);
        vm.expectRevert(error);
        dc.commit(id, 0, 0);
        vm.expectRevert(error);
        dc.reveal(id, 0, Vote.Upheld, 0, 0);
    }
}
