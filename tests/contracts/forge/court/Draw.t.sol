// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, Case, Vote, Phase, Round, Progress, IDisputeCourt, IRandomness} from "./CourtBase.t.sol";

contract DrawTest is CourtBase {
    function setUp() public override {
        super.setUp();
        seated(20, 0);
    }

    function test_drawsDifferentSeats() public {
        (, bytes32 id) = challenged();
        vm.roll(block.number + 3);
        vm.warp(block.timestamp + 60);
        (uint64 lot, uint32[] memory seats,) = dc.panelOf(id, 0);
        vm.expectEmit(address(dc));
        emit IDisputeCourt.PanelDrawn(id, 0, lot, seats);
        vm.prank(stranger);
        dc.draw(id);
        assertPhase(id, Phase.Committing);
        assertEq(seats.length, 3);
        for (uint256 i = 0; i < 3; ++i) {
            assertTrue(seats[i] >= 1 && seats[i] <= 20);
            assertTrue(seats[i] != seats[(i + 1) % 3]);
        }
        (uint64 stored, uint32[] memory after_, address[] memory members) = dc.panelOf(id, 0);
        assertEq(stored, lot);
        assertEq(keccak256(abi.encode(after_)), keccak256(abi.encode(seats)), "as it was seen before");
        assertEq(members[0], dc.seatOf(seats[0]).node);
        Round memory r = dc.roundOf(id, 0);
        assertEq(uint256(r.progress), uint256(Progress.Drawn));
        assertEq(r.time, block.timestamp);
        assertEq(r.lot, lot);
    }

    function test_onlyOnce() public {
        (, bytes32 id) = drawn();
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Committing));
        dc.draw(id);
    }

    /// @dev The block is fixed by the opening: it is not there yet, and whichever block draws, the panel is the same.
    function test_theBlockIsFixedByTheOpening() public {
        (, bytes32 id) = challenged();
        uint64 ticket = uint64(block.number + 2);
        assertEq(dc.roundOf(id, 0).lot, ticket);
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IRandomness.NotYet.selector, ticket, block.number));
            dc.draw(id);
            vm.roll(block.number + 1);
        }
        (, uint32[] memory seats,) = dc.panelOf(id, 0);
        vm.roll(block.number + 200);
        (, uint32[] memory later,) = dc.panelOf(id, 0);
        assertEq(keccak256(abi.encode(later)), keccak256(abi.encode(seats)));
    }

    function test_disputesOfOneBlockHavePanelsOfTheirOwn() public {
        (, bytes32 a) = challenged();
        fund(client, 1e6);
        (Case memory c,) = (caseOf(job_, completion_), a);
        c.subject = keccak256("another");
        vm.prank(client);
        vault.payAndCall(address(dc), BOND, abi.encode(c, maskedPrompt(), maskedOutput()));
        bytes32 b = dc.disputeId(client, c);
        vm.roll(block.number + 3);
        (uint64 lotA,,) = dc.panelOf(a, 0);
        (uint64 lotB,,) = dc.panelOf(b, 0);
        assertNotEq(lotA, lotB);
    }

    function test_tooLate() public {
        (, bytes32 id) = challenged();
        vm.roll(block.number + 3);
        vm.warp(block.timestamp + DRAW_WINDOW);
        assertPhase(id, Phase.Drawing);
        vm.warp(block.timestamp + 1);
        bytes memory error = abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, id, Phase.Final);
        vm.expectRevert(error);
        dc.draw(id);
        vm.prank(judges[0]);
        vm.expectRevert(error);
        dc.commit(id, 0, 0);
    }

    /// @dev On a fast chain the hash can be gone before the window is over: then it waits for the window's end, and lapses.
    function test_aMissedHashIsNotDrawnAnew() public {
        (Case memory c, bytes32 id) = challenged();
        uint64 ticket = uint64(block.number + 2);
        vm.roll(block.number + 9000);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Missed.selector, ticket, block.number));
        dc.draw(id);
        vm.warp(block.timestamp + DRAW_WINDOW + 1);
        finish(c);
        assertEq(vault.balanceOf(BURNED), BOND);
    }

    /// @dev The first to commit draws, and saves everybody a transaction.
    function test_committingDraws() public {
        (, bytes32 id) = challenged();
        vm.roll(block.number + 3);
        (,, address[] memory members) = dc.panelOf(id, 0);
        vm.prank(members[1]);
        dc.commit(id, 1, keccak256("sealed"));
        assertEq(dc.roundOf(id, 0).committed, 2);
        assertEq(uint256(dc.roundOf(id, 0).progress), uint256(Progress.Drawn));
        (,, address[] memory stored) = dc.panelOf(id, 0);
        assertEq(keccak256(abi.encode(stored)), keccak256(abi.encode(members)));
    }

    function test_theAppealsPanelIsOfTheSamePeriod() public {
        (Case memory c, bytes32 id) = voted(Vote.Upheld, Vote.Upheld, Vote.Upheld);
        uint256 stuffed = 30;
        seatJudges(100, stuffed, modelId, 0);
        passPeriods(1);
        assertPhase(id, Phase.Appealable);
        fundAppeal(c);
        drawPanel(id);
        (, uint32[] memory seats,) = dc.panelOf(id, 1);
        for (uint256 i = 0; i < 15; ++i) {
            assertLe(seats[i], 20, "none of those taken since");
        }
    }
}
