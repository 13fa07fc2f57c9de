// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    TuningBase,
    IModelRegistry,
    ITuningGovernor,
    ITuningTasks,
    Poll,
    Proposal,
    TuningTerms,
    T
} from "./TuningBase.t.sol";

contract ProposeTest is TuningBase {
    function test_anyoneMay() public {
        Proposal memory p = Proposal(uint64(governor.currentEpoch()), stranger, someTerms());
        bytes32 expected = keccak256(abi.encode(p));
        vm.expectEmit(address(governor));
        emit ITuningGovernor.ProposalMade(expected, modelId, p.epoch, p);
        vm.prank(stranger);
        assertEq(governor.propose(p.terms), expected);
        assertEq(governor.proposalId(p), expected);
        Poll memory poll = governor.pollOf(expected);
        assertEq(poll.modelId, modelId);
        assertEq(poll.epoch, p.epoch);
        assertEq(poll.votes, 0);
        assertEq(governor.quorumOf(modelId), SUPPLY / 10);
    }

    function test_sameTermsByAnotherOrInAnotherEpochAreAnother() public {
        (, bytes32 a) = proposed(someTerms());
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.ProposalExists.selector, a));
        governor.propose(someTerms());
        vm.prank(bob);
        bytes32 b = governor.propose(someTerms());
        nextEpoch();
        (, bytes32 c) = proposed(someTerms());
        assertTrue(a != b && a != c && b != c);
    }

    function test_notInTheReviewWindow() public {
        uint256 until = (governor.currentEpoch() + 1) * T.EPOCH - T.REVIEW;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.ProposingOver.selector, until, until));
        governor.propose(someTerms());
        vm.warp(until - 1);
        governor.propose(someTerms());
    }

    function refuses(TuningTerms memory t, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.BadTerms.selector, field));
        governor.propose(t);
    }

    /// @dev Terms that could not be started would spoil the closing of everybody else's.
    function test_refusesTermsThatCantBeStarted() public {
        TuningTerms memory t = someTerms();
        t.modelId = 1;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        governor.propose(t);
        t = someTerms();
        t.program = 0;
        refuses(t, "program");
        t = someTerms();
        t.shards = 0;
        refuses(t, "shards");
        t.shards = 257;
        refuses(t, "shards");
        t = someTerms();
        t.segments = 0;
        refuses(t, "segments");
        t.segments = 257;
        refuses(t, "segments");
        t = someTerms();
        t.shardCap = 0;
        refuses(t, "shardCap");
        t = someTerms();
        t.unitPrice = 0;
        refuses(t, "unitPrice");
        t = someTerms();
        t.preferenceShare = 5001;
        refuses(t, "preferenceShare");
    }
}
