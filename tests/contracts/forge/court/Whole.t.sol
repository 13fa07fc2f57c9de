// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, Ruling, Vote, Phase, Status, IJobEscrow} from "./CourtBase.t.sol";

/// @notice A dispute from the escrow's door to the escrow's last payment, judged by the court itself: what each outcome leaves with whom.
/// What seats earn is in Close.t.sol.
contract WholeDisputeTest is CourtBase {
    uint256 private constant WON = uint256(PENALTY) * WINNER_SHARE / 10_000;

    uint256 private _client;
    uint256 private _node;
    uint256 private _provisioned;

    function setUp() public override {
        super.setUp();
        seated(20, 0);
        _client = vault.balanceOf(client);
        _node = vault.balanceOf(node);
        _provisioned = provisionedBy(node);
    }

    /// @dev Closes the dispute, lets a stranger close the job, and checks that nothing is left anywhere.
    function end(Case memory c, Status ruled_) private {
        finish(c);
        assertStatus(c.subject, ruled_, 0);
        vm.prank(stranger);
        escrow.closeDispute(job_, completion_);
        nothingIsHeld(c);
    }

    function nothingIsHeld(Case memory c) private view {
        assertStatus(c.subject, Status.Final);
        assertEq(reservedOf(node), 0, "stake");
        assertEq(vault.balanceOf(address(dc)), 0, "court");
        assertEq(vault.balanceOf(address(escrow)), escrow.feesOf(modelId), "escrow");
    }

    function slashed() private view returns (uint256) {
        return _provisioned - provisionedBy(node);
    }

    function paid() private view returns (uint256) {
        return vault.balanceOf(treasurer);
    }

    function test_upheld() public {
        (Case memory c,) = voted(Vote.Upheld, Vote.Upheld, Vote.Dismissed);
        end(c, Status.RuledUpheld);
        assertEq(slashed(), PENALTY);
        assertEq(paid(), 0);
        assertEq(vault.balanceOf(client), _client + WON - 3 * FEE_PER_SEAT, "refunded, and its share");
        assertEq(vault.balanceOf(BURNED), PENALTY - WON + FEE_PER_SEAT);
    }

    function test_dismissed() public {
        (Case memory c,) = voted(Vote.Dismissed, Vote.Upheld, Vote.Dismissed);
        end(c, Status.RuledDismissed);
        assertEq(slashed(), 0);
        assertEq(paid(), PAYMENT - FEE);
        assertEq(vault.balanceOf(node), _node + NODE_FEE);
        assertEq(vault.balanceOf(client), _client - PAYMENT - BOND);
    }

    function test_undecided() public {
        (Case memory c,) = drawn();
        end(c, Status.RuledUndecided);
        assertEq(slashed(), 0);
        assertEq(paid(), 0);
        assertEq(vault.balanceOf(client), _client - 3 * FEE_PER_SEAT);
    }

    function test_lapsed() public {
        (Case memory c, bytes32 id) = challenged();
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        vm.roll(block.number + 10);
        vm.expectRevert();
        dc.draw(id);
        end(c, Status.RuledUndecided);
        assertEq(slashed(), 0);
        assertEq(paid(), 0);
        assertEq(vault.balanceOf(client), _client - BOND);
    }

    /// @dev Two of three lied.
    function test_appealedAndUpheld() public {
        (Case memory c, bytes32 id) = appealed(Vote.Dismissed, Vote.Upheld, Vote.Dismissed);
        vote(id, fifteen(11, Vote.Upheld, 4, Vote.Dismissed));
        end(c, Status.RuledUpheld);
        assertEq(slashed(), PENALTY);
        assertEq(paid(), 0);
        assertEq(vault.balanceOf(client), _client + WON - 3 * FEE_PER_SEAT);
    }

    function test_appealedAndDismissed() public {
        (Case memory c, bytes32 id) = appealed(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        vote(id, fifteen(4, Vote.Upheld, 11, Vote.Dismissed));
        end(c, Status.RuledDismissed);
        assertEq(slashed(), 0);
        assertEq(paid(), PAYMENT - FEE);
        assertEq(vault.balanceOf(node), _node + NODE_FEE);
        assertEq(vault.balanceOf(client), _client - PAYMENT - BOND);
    }

    /// @dev After a demand and a delivery the same door is open.
    function test_afterDelivery() public {
        (job_, completion_) = (aJob(), delivered(aJob()));
        vm.prank(client);
        vault.payAndCall(address(escrow), BOND, challengeCall(job_, completion_));
        Case memory c = caseOf(job_, completion_);
        bytes32 id = idOf(job_, completion_);
        drawPanel(id);
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        end(c, Status.RuledUpheld);
        assertEq(vault.balanceOf(client), _client + WON - 3 * FEE_PER_SEAT - DELIVERY_COST);
    }

    /// @dev Nobody told the escrow in time: it ends by itself. The ruling then finds the job closed, changes nothing, and pays the seats.
    function test_aRulingAfterTheEscrowsOwnLimit() public {
        for (uint256 i = 0; i < 2; ++i) {
            uint256 before = vm.snapshotState();
            Vote truth = i == 0 ? Vote.Upheld : Vote.Dismissed;
            (Case memory c, bytes32 id) = voted(truth, truth, truth);
            (, uint256 until) = escrow.jobStatus(c.subject);
            vm.warp(until);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, until, until));
            escrow.closeDispute(job_, completion_);
            vm.warp(until + 1);
            escrow.closeDispute(job_, completion_);
            assertStatus(c.subject, Status.Final);
            assertEq(vault.balanceOf(client), _client - BOND, "refunded");
            assertEq(slashed(), 0);
            assertEq(reservedOf(node), 0);
            dc.close(address(escrow), c);
            assertRuling(id, Ruling(uint256(truth)));
            nothingIsHeld(c);
            assertEq(slashed(), 0, "a late ruling punishes nobody");
            assertEq(paid(), 0);
            assertEq(vault.balanceOf(client), _client - BOND + (i == 0 ? NODE_FEE : 0));
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, c.subject, Status.Final));
            escrow.closeDispute(job_, completion_);
            vm.revertToState(before);
        }
    }

    /// @dev Whatever time everybody takes, the court can tell the escrow while that still listens.
    function test_theSlowestDisputeIsHeard() public {
        (Case memory c, bytes32 id) = challenged();
        (, uint256 limit) = escrow.jobStatus(c.subject);
        for (uint256 round = 0; round < 2; ++round) {
            vm.roll(block.number + 3);
            vm.warp(block.timestamp + DRAW_WINDOW);
            dc.draw(id);
            uint256 size = round == 0 ? 3 : 15;
            for (uint256 i = 0; i < size; ++i) {
                commitVote(id, i, Vote.Upheld, WITNESS);
            }
            vm.warp(block.timestamp + COMMIT_WINDOW + REVEAL_WINDOW);
            for (uint256 i = 0; i < size; ++i) {
                revealVote(id, i, Vote.Upheld, WITNESS);
            }
            if (round == 1) break;
            vm.warp(block.timestamp + APPEAL_WINDOW);
            fundAppeal(c);
        }
        assertPhase(id, Phase.Final);
        assertLt(block.timestamp + DRAW_WINDOW, limit);
        end(c, Status.RuledUpheld);
        assertEq(slashed(), PENALTY);
    }

    /// @dev A node may sit on its own panel: addresses are free, so shutting this one out would stop nobody. Its vote is one of three, and it
    /// wins no more by it than any other seat that votes alone.
    function test_aNodeOnItsOwnPanel() public {
        vm.prank(node);
        registry.provision(address(dc), modelId, 3 * SEAT_STAKE);
        for (uint256 i = 0; i < 3; ++i) {
            take(node, modelId, 0);
        }
        for (uint256 i = 0; i < 18; ++i) {
            uint32 seat = uint32(i + 1);
            vm.prank(dc.seatOf(seat).node);
            dc.leaveSeat(seat);
        }
        passPeriods(2);
        (Case memory c, bytes32 id) = drawn();
        uint256 own;
        Vote[] memory votes = new Vote[](3);
        for (uint256 i = 0; i < 3; ++i) {
            votes[i] = memberOf(id, 0, i) == node ? Vote.Dismissed : Vote.Upheld;
            if (votes[i] == Vote.Dismissed) ++own;
        }
        assertGt(own, 0, "five seats, three of them the node's");
        vote(id, votes);
        bool lied = own >= 2;
        assertRuling(id, lied ? Ruling.Dismissed : Ruling.Upheld);
        uint256 had = vault.balanceOf(node);
        end(c, lied ? Status.RuledDismissed : Status.RuledUpheld);
        // Five seats can't serve an appeal: the first panel is final, and three of five seats are a majority.
        assertEq(vault.balanceOf(node) - had, lied ? own * FEE_PER_SEAT + NODE_FEE : 0);
        assertEq(slashed(), lied ? 0 : PENALTY);
    }
}
