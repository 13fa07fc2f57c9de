// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, Ruling, Vote, Phase, Seat, Status, IDisputeCourt} from "./CourtBase.t.sol";
import {Opener} from "../doubles/Openers.sol";

/// @notice The money of every outcome, to the unit.
contract CloseTest is CourtBase {
    uint256 private constant WON = uint256(PENALTY) * WINNER_SHARE / 10_000;
    uint256 private constant F = FEE_PER_SEAT;

    uint256 private _client;
    uint256 private _funder;
    uint256 private _staked;

    function setUp() public override {
        super.setUp();
        seated(20, 0);
        _client = vault.balanceOf(client);
        _funder = vault.balanceOf(funder);
        _staked = vault.balanceOf(address(registry));
    }

    /// @dev Closes, and checks that nothing stays with the court and nothing was made or lost.
    function close(Case memory c) private {
        uint256 ledger = ledgerSum();
        finish(c);
        assertEq(vault.balanceOf(address(dc)), 0, "the court keeps nothing");
        assertEq(ledgerSum(), ledger, "money is conserved");
    }

    function ledgerSum() private view returns (uint256 sum) {
        sum = vault.balanceOf(address(dc)) + vault.balanceOf(address(registry)) + vault.balanceOf(address(escrow));
        sum += vault.balanceOf(client) + vault.balanceOf(funder) + vault.balanceOf(node) + vault.balanceOf(BURNED);
        for (uint256 i = 0; i < judges.length; ++i) {
            sum += vault.balanceOf(judges[i]);
        }
    }

    function earned(uint256 expected) private view {
        uint256 sum;
        for (uint256 i = 0; i < judges.length; ++i) {
            sum += vault.balanceOf(judges[i]);
        }
        assertEq(sum, expected, "paid to seats");
    }

    function slashed() private view returns (uint256) {
        return _staked - vault.balanceOf(address(registry));
    }

    function test_upheld() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Dismissed);
        address liar = memberOf(id, 0, 2);
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        earned(2 * F);
        assertEq(vault.balanceOf(liar), 0);
        assertEq(slashed(), 0, "a minority loses only its fee");
        assertEq(vault.balanceOf(BURNED), F);
        assertEq(vault.balanceOf(client), _client - CEILING - 3 * F);
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - 3 * F + WON);
        assertGt(WON, 3 * F, "being right pays");
    }

    function test_upheldByTwo() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.None, Vote.Upheld);
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        earned(2 * F);
        assertEq(slashed(), SILENT_FINE);
        assertEq(vault.balanceOf(BURNED), SILENT_FINE);
        assertEq(vault.balanceOf(client), _client - CEILING - 2 * F, "the silent seat's fee came back");
    }

    function test_dismissed() public {
        (Case memory c,) = voted(Vote.Dismissed, Vote.Dismissed, Vote.Dismissed);
        uint256 had = vault.balanceOf(node);
        close(c);
        assertStatus(c.subject, Status.RuledDismissed);
        earned(3 * F);
        assertEq(vault.balanceOf(node) - had, NODE_FEE);
        assertEq(vault.balanceOf(BURNED), 0);
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - BOND - PAYMENT);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
    }

    function test_dismissedWithASilentSeat() public {
        (Case memory c,) = voted(Vote.Dismissed, Vote.Dismissed, Vote.None);
        close(c);
        assertEq(vault.balanceOf(BURNED), F + SILENT_FINE, "whoever was wrong gets nothing back");
        assertEq(vault.balanceOf(client), _client - CEILING - BOND);
    }

    function test_aTieDecidesNothing() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.Dismissed, Vote.None);
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        earned(2 * F);
        assertEq(vault.balanceOf(BURNED), SILENT_FINE + F);
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - 3 * F);
        assertEq(reservedOf(node), 0);
    }

    function test_allSilent() public {
        (Case memory c,) = drawn();
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        earned(0);
        assertEq(slashed(), 3 * SILENT_FINE);
        assertEq(vault.balanceOf(BURNED), 3 * SILENT_FINE + 3 * F, "to have seats fined is not free");
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - 3 * F, "the price came back");
    }

    function test_committedAndSilent() public {
        (Case memory c, bytes32 id) = drawn();
        for (uint256 i = 0; i < 3; ++i) {
            commitVote(id, i, Vote.Upheld, WITNESS);
        }
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        assertEq(slashed(), 3 * SILENT_FINE);
    }

    function test_aloneNobodyIsPaid() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.None, Vote.None);
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        earned(0);
        assertEq(vault.balanceOf(BURNED), 3 * F + 2 * SILENT_FINE);
    }

    function test_aWrongWitnessEarnsNothing() public {
        (Case memory c, bytes32 id) = drawn();
        bytes32[] memory witnesses = new bytes32[](3);
        // Two positions of eight differ between honest builds; three differ for the third.
        witnesses[0] = WITNESS ^ bytes32(uint256(1) << 255 | uint256(1) << 200);
        witnesses[1] = WITNESS;
        witnesses[2] = WITNESS ^ bytes32(uint256(1) << 160 | uint256(1) << 100 | uint256(1));
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld), witnesses);
        address lazy = memberOf(id, 0, 2);
        close(c);
        earned(2 * F);
        assertEq(vault.balanceOf(lazy), 0);
        assertEq(slashed(), 0);
        assertEq(vault.balanceOf(BURNED), F);
    }

    function test_lapsesWithTheBond() public {
        (Case memory c, bytes32 id) = challenged();
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        assertPhase(id, Phase.Final);
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        assertEq(vault.balanceOf(BURNED), BOND);
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - BOND);
        assertEq(reservedOf(node), 0, "no slash");
    }

    function test_unableIsSilenceForTheModelsOwn() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.Upheld, Vote.Unable);
        close(c);
        assertEq(slashed(), SILENT_FINE);
        assertEq(vault.balanceOf(BURNED), SILENT_FINE + F, "the fee of a seat that answered is spent");
    }

    function test_unableIsExcusedForOthers() public {
        // A model of its own, without a seat: all seats judge.
        vm.prank(trainer);
        (modelId,) = models.register("unseated", "U", MANIFEST, MODEL_FEE, SUPPLY);
        vm.prank(node);
        registry.provision(address(escrow), modelId, PENALTY);
        (Case memory c,) = voted(Vote.Upheld, Vote.Upheld, Vote.Unable);
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        assertEq(slashed(), 0);
        assertEq(vault.balanceOf(BURNED), F);
    }

    function test_appealConfirms() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vote(id, fifteen(9, Vote.Upheld, 4, Vote.Dismissed));
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        earned(12 * F);
        assertEq(slashed(), 2 * SILENT_FINE);
        assertEq(vault.balanceOf(BURNED), 2 * SILENT_FINE + 6 * F);
        assertEq(vault.balanceOf(funder), _funder - APPEAL_COST);
        assertEq(vault.balanceOf(client), _client - CEILING - 3 * F);
    }

    /// @dev All are paid, and nobody loses anything that could pay them.
    function test_appealConfirmsByAll() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vote(id, fifteen(15, Vote.Upheld, 0, Vote.None));
        close(c);
        earned(18 * F);
        assertEq(vault.balanceOf(BURNED), 0);
    }

    /// @dev Whatever anybody votes, with whatever witness: closed, conserved, and each seat's fate follows from its own vote.
    /// Fewer runs than by default: one is a whole dispute, and takes 7 ms.
    /// forge-config: default.fuzz.runs = 1500
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_anyVotes(uint256 ballots, bool appeal, uint256 ballots2) public {
        (Case memory c, bytes32 id) = drawn();
        (Vote[] memory votes, bytes32[] memory witnesses) = anyVotes(ballots, 3);
        vote(id, votes, witnesses);
        if (appeal) {
            (Phase phase,, uint256 until) = dc.phaseOf(id);
            if (phase != Phase.Appealable) vm.warp(until + 1);
            fundAppeal(c);
            drawPanel(id);
            (votes, witnesses) = anyVotes(ballots2, 15);
            vote(id, votes, witnesses);
        }
        close(c);
        escrow.closeDispute(job_, completion_);
        assertEq(reservedOf(node), 0);
        Ruling ruling = dc.rulingOf(id);
        // A refund is never less than the price; a right challenge never costs more than it wins.
        if (ruling == Ruling.Upheld) assertGt(vault.balanceOf(client), _client);
        if (ruling == Ruling.Undecided) assertGe(vault.balanceOf(client), _client - 3 * F);
        if (ruling != Ruling.Upheld) assertEq(provisionedBy(node), 200e6, "no slash");
    }

    function anyVotes(uint256 seed, uint256 count)
        private
        pure
        returns (Vote[] memory votes, bytes32[] memory witnesses)
    {
        votes = new Vote[](count);
        witnesses = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 ballot = seed >> (i * 8) & 0xff;
            // Votes for either side twice as often as silence or inability.
            votes[i] = Vote(ballot & 7 > 3 ? 1 + (ballot & 1) : ballot & 3);
            witnesses[i] = ballot >> 4 == 0 ? keccak256(abi.encode(i)) : WITNESS;
        }
    }

    function test_appealOverturnsADismissal() public {
        (Case memory c, bytes32 id) = appealed(Vote.Dismissed, Vote.Dismissed, Vote.Upheld);
        address honest = memberOf(id, 0, 2);
        vote(id, fifteen(15, Vote.Upheld, 0, Vote.None));
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        earned(16 * F);
        assertGe(vault.balanceOf(honest), F);
        assertEq(slashed(), 2 * SEAT_STAKE, "the overturned majority forfeits");
        uint256 reward = 2 * uint256(SEAT_STAKE) * APPEAL_SHARE / 10_000;
        assertEq(vault.balanceOf(funder), _funder - APPEAL_COST + reward);
        assertGt(reward, APPEAL_COST, "an appeal that is right pays");
        assertEq(vault.balanceOf(BURNED), 2 * SEAT_STAKE - reward + 2 * F);
        escrow.closeDispute(job_, completion_);
        assertEq(vault.balanceOf(client), _client - 3 * F + WON);
    }

    function test_appealOverturnsAnUpholding() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        uint256 had = vault.balanceOf(node);
        vote(id, fifteen(10, Vote.Dismissed, 5, Vote.Upheld));
        close(c);
        assertStatus(c.subject, Status.RuledDismissed);
        earned(10 * F);
        assertEq(slashed(), 3 * SEAT_STAKE);
        uint256 reward = 3 * uint256(SEAT_STAKE) * APPEAL_SHARE / 10_000;
        assertEq(vault.balanceOf(funder), _funder - 10 * F + reward, "what was not earned comes back");
        assertEq(vault.balanceOf(node) - had, NODE_FEE);
        assertEq(vault.balanceOf(client), _client - CEILING - BOND);
        escrow.closeDispute(job_, completion_);
        assertEq(reservedOf(node), 0);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE, "an honest node is paid");
    }

    function test_appealDecidesWhatWasUndecided() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.None, Vote.None);
        vote(id, fifteen(15, Vote.Upheld, 0, Vote.None));
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        uint256 reward = 2 * uint256(SILENT_FINE) * APPEAL_SHARE / 10_000;
        if (reward > 15 * F) reward = 15 * F;
        assertEq(vault.balanceOf(funder), _funder - 15 * F + reward, "at most what it cost");
        assertEq(slashed(), 2 * SILENT_FINE);
    }

    function test_appealUndecided() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vote(id, fifteen(5, Vote.Upheld, 2, Vote.Dismissed));
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
        assertEq(slashed(), 8 * SILENT_FINE, "nobody was overturned");
        assertEq(vault.balanceOf(funder), _funder - APPEAL_COST);
    }

    function test_appealTied() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vote(id, fifteen(7, Vote.Upheld, 7, Vote.Dismissed));
        close(c);
        assertStatus(c.subject, Status.RuledUndecided);
    }

    function test_unableIsExcusedInAnAppeal() public {
        (Case memory c, bytes32 id) = appealed(Vote.Dismissed, Vote.Dismissed, Vote.Dismissed);
        vote(id, fifteen(6, Vote.Upheld, 9, Vote.Unable));
        close(c);
        assertStatus(c.subject, Status.RuledUpheld);
        assertEq(slashed(), 3 * SEAT_STAKE);
    }

    function test_anAppealNobodyDrewChangesNothing() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        fundAppeal(c);
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        close(c);
        assertRuling(id, Ruling.Upheld);
        assertEq(vault.balanceOf(BURNED), APPEAL_COST);
        earned(3 * F);
    }

    function test_punishedSeatsAreGone() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.None);
        (, uint32[] memory seats,) = dc.panelOf(id, 0);
        close(c);
        Seat memory s = dc.seatOf(seats[2]);
        assertEq(s.stake, SEAT_STAKE - SILENT_FINE);
        assertGt(s.leavesAt, block.timestamp);
        assertEq(dc.poolSize(0, 0, block.timestamp / PERIOD + 1), 19);
        vm.warp(s.leavesAt + 1);
        dc.releaseSeat(seats[2]);
        assertEq(registry.provisionOf(s.node, address(dc), modelId).reserved, 0);
        assertEq(registry.provisionOf(s.node, address(dc), modelId).amount, SEAT_STAKE - SILENT_FINE);
    }

    function test_onlyOnce() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        close(c);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.AlreadyClosed.selector, id));
        dc.close(address(escrow), c);
    }

    function test_notBeforeItIsFinal() public {
        (Case memory c, bytes32 id) = challenged();
        bytes memory error = abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Drawing);
        vm.expectRevert(error);
        dc.close(address(escrow), c);
        drawPanel(id);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Committing));
        dc.close(address(escrow), c);
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Appealable));
        dc.close(address(escrow), c);
        c.subject = bytes32(uint256(1));
        id = dc.disputeId(address(escrow), c);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.None));
        dc.close(address(escrow), c);
    }

    function test_onlyWithTheCaseAsOpened() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        c.challenger = stranger;
        bytes32 other = dc.disputeId(address(escrow), c);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, other, Phase.None));
        dc.close(address(escrow), c);
    }

    // --- openers that fail

    function hostile(Opener.Manner manner, bytes memory callBack) private returns (Opener opener, Case memory c) {
        opener = new Opener(vault, address(dc));
        fund(address(opener), BOND);
        c = caseOf(aJob(), completionOf(aJob()));
        c.bitClass = 0;
        opener.open(BOND, abi.encode(c, maskedPrompt(), maskedOutput()));
        bytes32 id = dc.disputeId(address(opener), c);
        drawPanel(id);
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        opener.behave(manner, callBack);
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
    }

    function test_anOpenerThatTakesTheRuling() public {
        (Opener opener, Case memory c) = hostile(Opener.Manner.Takes, "");
        vm.expectEmit(address(dc));
        emit IDisputeCourt.DisputeClosed(dc.disputeId(address(opener), c), Ruling.Upheld, true, 3 * F, 0);
        dc.close(address(opener), c);
        assertEq(opener.told(), 1);
    }

    function test_anOpenerThatFailsHoldsUpNobody() public {
        for (uint256 m = 1; m < 5; ++m) {
            if (m == 3) continue;
            uint256 before = vm.snapshotState();
            (Opener opener, Case memory c) = hostile(Opener.Manner(m), "");
            dc.close(address(opener), c);
            earned(3 * F);
            assertEq(vault.balanceOf(client), _client + NODE_FEE);
            vm.revertToState(before);
        }
    }

    /// @dev Whoever closes pays for the opener's gas and no more, whatever that sends back.
    function test_whatAnOpenerReturnsIsNotRead() public {
        uint256[2] memory spent;
        Opener.Manner[2] memory manners = [Opener.Manner.BurnsGas, Opener.Manner.ReturnsMuch];
        for (uint256 i = 0; i < 2; ++i) {
            uint256 before = vm.snapshotState();
            (Opener opener, Case memory c) = hostile(manners[i], "");
            uint256 had = gasleft();
            dc.close(address(opener), c);
            spent[i] = had - gasleft();
            vm.revertToState(before);
        }
        assertLt(spent[1], spent[0] + 1000);
    }

    function test_anOpenerCannotComeBackIn() public {
        (Opener opener, Case memory c) = hostile(Opener.Manner.CallsBack, "");
        opener.behave(Opener.Manner.CallsBack, abi.encodeCall(IDisputeCourt.close, (address(opener), c)));
        dc.close(address(opener), c);
        assertFalse(opener.calledBack());
        assertEq(opener.told(), 1);
        earned(3 * F);
    }

    /// @dev Whoever is about to lose could otherwise close with just too little gas for the escrow to hear of it.
    /// Fewer runs than by default: one is a whole round, and takes 3 ms.
    /// forge-config: default.fuzz.runs = 1000
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_tooLittleGasIsRefused(uint256 gas_) public {
        (Case memory c,) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        gas_ = bound(gas_, 30_000, 1_000_000);
        (bool closed,) = address(dc).call{gas: gas_}(abi.encodeCall(IDisputeCourt.close, (address(escrow), c)));
        assertEq(uint256(statusOf(c.subject)), uint256(closed ? Status.RuledUpheld : Status.Disputed));
    }

    /// @dev A ledger account that is nobody's contract opens a case by itself: it is paid for, and rules over nothing.
    function test_anOpenerWithoutCode() public {
        Case memory c = caseOf(aJob(), completionOf(aJob()));
        c.bitClass = 0;
        vm.prank(client);
        vault.payAndCall(address(dc), BOND, abi.encode(c, maskedPrompt(), maskedOutput()));
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        dc.close(client, c);
        assertEq(vault.balanceOf(BURNED), BOND);
    }
}
