// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    CourtBase,
    Case,
    Ruling,
    Vote,
    Phase,
    Round,
    Progress,
    IDisputeCourt,
    IDisputeCourtPayments
} from "./CourtBase.t.sol";

contract AppealTest is CourtBase {
    function setUp() public override {
        super.setUp();
        seated(20, 0);
    }

    function refused(Case memory c, uint256 amount, bytes memory error) private {
        vm.prank(funder);
        vm.expectRevert(error);
        vault.payAndCall(address(dc), amount, abi.encodeCall(IDisputeCourtPayments.appeal, (address(escrow), c)));
    }

    function test_anyoneFundsIt() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        assertEq(dc.appealCost(TOKENS), APPEAL_COST);
        vm.expectEmit(address(dc));
        emit IDisputeCourt.AppealFunded(id, funder, APPEAL_COST, uint64(block.number + 2));
        fundAppeal(c);
        assertEq(vault.balanceOf(address(dc)), BOND + APPEAL_COST);
        (Phase phase, uint256 round, uint256 until) = dc.phaseOf(id);
        assertEq(uint256(phase), uint256(Phase.Drawing));
        assertEq(round, 1);
        assertEq(until, block.timestamp + DRAW_WINDOW);
        drawPanel(id);
        (, uint32[] memory seats,) = dc.panelOf(id, 1);
        assertEq(seats.length, 15);
        for (uint256 i = 0; i < 15; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(seats[i], seats[j]);
            }
        }
    }

    function test_once() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        fundAppeal(c);
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Drawing));
        drawPanel(id);
        vote(id, fifteen(15, Vote.Upheld, 0, Vote.None));
        assertPhase(id, Phase.Final);
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Final));
    }

    function test_inItsWindow() public {
        (Case memory c, bytes32 id) = drawn();
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Committing));
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Final));
        vm.warp(block.timestamp - 1);
        fundAppeal(c);
    }

    function test_forItsCostAndItsCase() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        refused(
            c, APPEAL_COST - 1, abi.encodeWithSelector(IDisputeCourt.WrongAmount.selector, APPEAL_COST - 1, APPEAL_COST)
        );
        // Another case is another dispute, which nobody opened.
        c.outputTokens = 1;
        bytes32 other = dc.disputeId(address(escrow), c);
        assertNotEq(other, id);
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.UnknownCase.selector, other));
    }

    function test_aLapsedRoundHasNoAppeal() public {
        (Case memory c, bytes32 id) = challenged();
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        refused(c, APPEAL_COST, abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Final));
    }

    function test_theFirstRoundIsOver() public {
        (Case memory c, bytes32 id) = drawn();
        commitVote(id, 0, Vote.Upheld, WITNESS);
        address late = memberOf(id, 0, 0);
        vm.warp(block.timestamp + COMMIT_WINDOW + REVEAL_WINDOW + 1);
        fundAppeal(c);
        drawPanel(id);
        (Phase phase, uint256 round,) = dc.phaseOf(id);
        assertEq(uint256(phase), uint256(Phase.Committing));
        assertEq(round, 1);
        vm.prank(late);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Committing));
        dc.reveal(id, 0, Vote.Upheld, WITNESS, salt(late, id, 0));
    }

    /// @dev The whole dispute, every phase to its last second, ends within longest(), with a draw's window to spare.
    function test_longest() public {
        (Case memory c, bytes32 id) = challenged();
        uint256 opened = block.timestamp;
        vm.roll(block.number + 3);
        vm.warp(block.timestamp + DRAW_WINDOW);
        dc.draw(id);
        lastSecond(id);
        vm.warp(block.timestamp + APPEAL_WINDOW);
        fundAppeal(c);
        vm.roll(block.number + 3);
        vm.warp(block.timestamp + DRAW_WINDOW);
        dc.draw(id);
        lastSecond(id);
        assertPhase(id, Phase.Revealing);
        vm.warp(block.timestamp + 1);
        assertPhase(id, Phase.Final);
        assertEq(block.timestamp - 1 - opened + DRAW_WINDOW, dc.longest());
    }

    function lastSecond(bytes32 id) private {
        commitVote(id, 0, Vote.Upheld, WITNESS);
        commitVote(id, 1, Vote.Upheld, WITNESS);
        vm.warp(block.timestamp + COMMIT_WINDOW + REVEAL_WINDOW);
        revealVote(id, 0, Vote.Upheld, WITNESS);
    }
}
