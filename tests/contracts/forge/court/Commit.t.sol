// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICourtSeats} from "contracts/interfaces/ICourtSeats.sol";
import {CourtBase, Case, Vote, Phase, IDisputeCourt} from "./CourtBase.t.sol";

contract CommitTest is CourtBase {
    Case private _case;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        seated(20, 0);
        (_case, _id) = drawn();
    }

    function test_commits() public {
        vm.expectEmit(address(dc));
        emit IDisputeCourt.VoteCommitted(_id, 2);
        commitVote(_id, 2, Vote.Upheld, WITNESS);
        assertEq(dc.roundOf(_id, 0).committed, 4);
        assertPhase(_id, Phase.Committing);
    }

    function test_byTheSeatsNodeAlone() public {
        address member = memberOf(_id, 0, 0);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.NotSeatsNode.selector, stranger, member));
        dc.commit(_id, 0, 0);
        address other = memberOf(_id, 0, 1);
        vm.prank(other);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.NotSeatsNode.selector, other, member));
        dc.commit(_id, 0, 0);
    }

    function test_byTheOperator() public {
        address member = memberOf(_id, 0, 0);
        address key = makeAddr("its operator");
        vm.prank(member);
        registry.setNode(key, 0, "");
        vm.prank(key);
        dc.commit(_id, 0, keccak256("sealed"));
    }

    function test_once() public {
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        address member = memberOf(_id, 0, 0);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.AlreadyCommitted.selector, _id, 0, 0));
        dc.commit(_id, 0, keccak256("another"));
    }

    function test_amongTheMembers() public {
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.BadIndex.selector, 3, 3));
        dc.commit(_id, 3, 0);
    }

    function test_endsByTime() public {
        vm.warp(block.timestamp + COMMIT_WINDOW);
        commitVote(_id, 0, Vote.Upheld, WITNESS);
        vm.warp(block.timestamp + 1);
        address member = memberOf(_id, 0, 1);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.WrongPhase.selector, _id, Phase.Revealing));
        dc.commit(_id, 1, 0);
    }

    function test_endsWhenAllHave() public {
        for (uint256 i = 0; i < 3; ++i) {
            assertPhase(_id, Phase.Committing);
            commitVote(_id, i, Vote.Upheld, WITNESS);
        }
        assertPhase(_id, Phase.Revealing);
        (,, uint256 until) = dc.phaseOf(_id);
        assertEq(until, block.timestamp + COMMIT_WINDOW + REVEAL_WINDOW, "nobody's time to reveal gets shorter");
    }

    function test_withNobodyItIsOver() public {
        vm.warp(block.timestamp + COMMIT_WINDOW + 1);
        assertPhase(_id, Phase.Appealable);
        (,, uint256 until) = dc.phaseOf(_id);
        assertEq(until, block.timestamp - 1 + APPEAL_WINDOW);
    }

    /// @dev A seat that has been left still owes its vote to the disputes that drew it.
    function test_afterLeaving() public {
        address member = memberOf(_id, 0, 0);
        (, uint32[] memory seats,) = dc.panelOf(_id, 0);
        vm.prank(member);
        dc.leaveSeat(seats[0]);
        commitVote(_id, 0, Vote.Upheld, WITNESS);
    }
}
