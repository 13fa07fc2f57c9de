// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, Ruling, Vote, Phase, Round, IDisputeCourt} from "./CourtBase.t.sol";

contract RevealTest is CourtBase {
    Case private _case;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        seated(20, 0);
        (_case, _id) = drawn();
    }

    function commitAll() private {
        for (uint256 i = 0; i < 3; ++i) {
            commitVote(_id, i, Vote.Upheld, WITNESS);
        }
    }

    function test_reveals() public {
        commitAll();
        vm.expectEmit(address(dc));
        emit IDisputeCourt.VoteRevealed(_id, 1, Vote.Upheld, WITNESS);
        revealVote(_id, 1, Vote.Upheld, WITNESS);
        Round memory r = dc.roundOf(_id, 0);
        assertEq(r.revealed, 2);
        assertEq(r.upheld, 2);
        assertEq(r.dismissed, 0);
        assertRuling(_id, Ruling.Undecided);
        revealVote(_id, 2, Vote.Upheld, WITNESS);
        assertRuling(_id, Ruling.Upheld);
        assertPhase(_id, Phase.Revealing);
        vm.warp(block.timestamp + 5);
        revealVote(_id, 0, Vote.Upheld, WITNESS);
        assertPhase(_id, Phase.Appealable);
        (,, uint256 until) = dc.phaseOf(_id);
        assertEq(until, block.timestamp + APPEAL_WINDOW, "from the last reveal");
    }

    function test_notEarly() public {
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        commitVote(_id, 1, Vote.Upheld, WITNESS);
        address voter = memberOf(_id, 0, 0);
        vm.prank(voter);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, _id, Phase.Committing));
        dc.reveal(_id, 0, Vote.Upheld, WITNESS, salt(voter, _id, 0));
    }

    function test_notTwice() public {
        commitAll();
        revealVote(_id, 0, Vote.Upheld, WITNESS);
        address voter = memberOf(_id, 0, 0);
        vm.prank(voter);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.AlreadyRevealed.selector, _id, 0, 0));
        dc.reveal(_id, 0, Vote.Upheld, WITNESS, salt(voter, _id, 0));
    }

    function test_notUncommitted() public {
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        vm.warp(block.timestamp + COMMIT_WINDOW + 1);
        address voter = memberOf(_id, 0, 1);
        vm.prank(voter);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.NotCommitted.selector, _id, 0, 1));
        dc.reveal(_id, 1, Vote.Upheld, WITNESS, 0);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.BadIndex.selector, 3, 3));
        dc.reveal(_id, 3, Vote.Upheld, WITNESS, 0);
    }

    function test_notLate() public {
        commitAll();
        vm.warp(block.timestamp + COMMIT_WINDOW + REVEAL_WINDOW);
        revealVote(_id, 0, Vote.Upheld, WITNESS);
        vm.warp(block.timestamp + 1);
        address voter = memberOf(_id, 0, 1);
        vm.prank(voter);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, _id, Phase.Final));
        dc.reveal(_id, 1, Vote.Upheld, WITNESS, salt(voter, _id, 1));
    }

    function test_earlyOnceAllWhoCommittedHave() public {
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        commitVote(_id, 1, Vote.Dismissed, WITNESS);
        vm.warp(block.timestamp + COMMIT_WINDOW + 1);
        revealVote(_id, 0, Vote.Upheld, WITNESS);
        assertPhase(_id, Phase.Revealing);
        revealVote(_id, 1, Vote.Dismissed, WITNESS);
        assertPhase(_id, Phase.Appealable);
        assertRuling(_id, Ruling.Undecided);
    }

    /// @dev Every part of what was committed must come back as it was, by the key that committed it.
    function testFuzz_bindsEverything(uint8 change, uint256 by) public {
        commitAll();
        address voter = memberOf(_id, 0, 0);
        Vote vote_ = Vote.Upheld;
        bytes32 witness = WITNESS;
        bytes32 salt_ = salt(voter, _id, 0);
        by = bound(by, 1, type(uint256).max);
        change = uint8(bound(change, 0, 3));
        if (change == 0) vote_ = by & 1 == 0 ? Vote.Dismissed : Vote.Unable;
        if (change == 1) witness ^= bytes32(by);
        if (change == 2) salt_ ^= bytes32(by);
        if (change == 3) voter = memberOf(_id, 0, 1);
        vm.prank(voter);
        vm.expectPartialRevert(IDisputeCourt.WrongReveal.selector);
        dc.reveal(_id, 0, vote_, witness, salt_);
    }

    function test_bindsChainCourtDisputeRoundAndIndex() public {
        address voter = memberOf(_id, 0, 0);
        bytes32 ours = dc.commitmentOf(_id, 0, 0, voter, Vote.Upheld, WITNESS, "salt");
        assertNotEq(ours, dc.commitmentOf(keccak256("x"), 0, 0, voter, Vote.Upheld, WITNESS, "salt"));
        assertNotEq(ours, dc.commitmentOf(_id, 1, 0, voter, Vote.Upheld, WITNESS, "salt"));
        assertNotEq(ours, dc.commitmentOf(_id, 0, 1, voter, Vote.Upheld, WITNESS, "salt"));
        assertNotEq(ours, deployCourt(courtConfig()).commitmentOf(_id, 0, 0, voter, Vote.Upheld, WITNESS, "salt"));
        vm.chainId(999);
        assertNotEq(ours, dc.commitmentOf(_id, 0, 0, voter, Vote.Upheld, WITNESS, "salt"));
    }

    /// @dev What was copied can't be opened, not even once its original has been.
    function test_copiedCommitmentsAreSilence() public {
        address victim = memberOf(_id, 0, 0);
        address thief = memberOf(_id, 0, 1);
        bytes32 commitment = commitmentFor(_id, 0, 0, victim, Vote.Upheld, WITNESS);
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        vm.prank(thief);
        dc.commit(_id, 1, commitment);
        commitVote(_id, 2, Vote.Upheld, WITNESS);
        revealVote(_id, 0, Vote.Upheld, WITNESS);
        revealVote(_id, 2, Vote.Upheld, WITNESS);
        vm.prank(thief);
        vm.expectPartialRevert(IDisputeCourt.WrongReveal.selector);
        dc.reveal(_id, 1, Vote.Upheld, WITNESS, salt(victim, _id, 0));
        uint256 staked = vault.balanceOf(address(registry));
        finish(_case);
        assertEq(staked - vault.balanceOf(address(registry)), SILENT_FINE);
        assertEq(vault.balanceOf(thief), 0);
    }

    function test_aVoteForNothingIsNone() public {
        address voter = memberOf(_id, 0, 0);
        bytes32 empty = commitmentFor(_id, 0, 0, voter, Vote.None, WITNESS);
        vm.prank(voter);
        dc.commit(_id, 0, empty);
        vm.warp(block.timestamp + COMMIT_WINDOW + 1);
        vm.prank(voter);
        vm.expectPartialRevert(IDisputeCourt.WrongReveal.selector);
        dc.reveal(_id, 0, Vote.None, WITNESS, salt(voter, _id, 0));
    }
}
