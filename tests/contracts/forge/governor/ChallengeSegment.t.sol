// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    TuningBase,
    Case,
    ITuningTasks,
    ITuningTasksPayments,
    Ruling,
    Submission,
    TaskStatus,
    TuningTask,
    TuningTerms,
    T
} from "./TuningBase.t.sol";

contract ChallengeSegmentTest is TuningBase {
    function test_theCourtIsAskedWhetherTheSegmentRepeats() public {
        bytes32 id = submitted();
        bytes32 subject = keccak256(abi.encode(id, uint256(0), uint256(1), uint256(4)));
        vm.expectEmit(address(tasks));
        emit ITuningTasks.SegmentChallenged(id, 0, challenger, 4, subject);
        assertEq(challenge(id, 4), subject);
        Case memory c = tuningCourt.case_();
        assertEq(c.subject, subject);
        assertEq(c.challenger, challenger);
        assertEq(c.node, node);
        assertEq(c.modelId, modelId);
        assertEq(c.version, VERSION);
        assertEq(c.maxTokens, 4);
        assertEq(c.finish, 16);
        assertEq(c.promptTokens, 13 * 8);
        assertEq(c.bitClass, 0);
        TuningTerms memory t = someTerms();
        Submission memory s = someWork();
        bytes memory evidence = bytes.concat(
            abi.encode(id, REFERENCE, t.program, t.parameters, modelId, VERSION, 0, t.shards, t.segments),
            abi.encode(s.adapter, s.trace, s.preferences, s.units)
        );
        assertEq(tuningCourt.lastPromptHash(), keccak256(evidence));
        assertEq(tuningCourt.lastBond(), tasks.challengeCost());
        assertEq(tasks.taskOf(id, 0).openDisputes, 1);
    }

    function test_eachSegmentOnce() public {
        bytes32 id = submitted();
        challenge(id, 4);
        challenge(id, 9);
        assertEq(tasks.taskOf(id, 0).openDisputes, 2);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.AlreadyChallenged.selector, 4));
        this.challengeAgain(id, 4);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.BadSegment.selector, 10, 10));
        this.challengeAgain(id, 10);
    }

    function challengeAgain(bytes32 id, uint256 segment) external {
        challenge(id, segment);
    }

    function test_untilTheWindowEnds() public {
        bytes32 id = submitted();
        uint256 until = block.timestamp + 2 * uint256(T.AUDIT) + T.CHALLENGE;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WindowClosed.selector, until, until + 1));
        this.challengeAgain(id, 0);
        vm.warp(until);
        challenge(id, 0);
    }

    function refuses(bytes32 id, Submission memory s, TuningTerms memory t, bytes memory error) private {
        bytes memory call_ = abi.encodeCall(ITuningTasksPayments.challenge, (id, 0, 0, s, t, VERSION, REFERENCE));
        vm.prank(challenger);
        vm.expectRevert(error);
        vault.payAndCall(address(tasks), 3e6, call_);
    }

    function test_onlyWithWhatWasSubmitted() public {
        bytes32 id = submitted();
        Submission memory s = someWork();
        TuningTerms memory t = someTerms();
        s.trace = keccak256("another");
        bytes32 found = keccak256(abi.encode(s));
        bytes32 right = keccak256(abi.encode(someWork()));
        refuses(id, s, t, abi.encodeWithSelector(ITuningTasks.WrongSubmission.selector, found, right));
        t.parameters = keccak256("others");
        found = keccak256(abi.encode(sponsor, t, VERSION, REFERENCE));
        refuses(id, someWork(), t, abi.encodeWithSelector(ITuningTasks.WrongTerms.selector, found, id));
    }

    function test_onlyWhatWasSubmitted() public {
        bytes32 id = claimed();
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 0, TaskStatus.Claimed));
        this.challengeAgain(id, 0);
    }

    function test_onlyTheCourtRules() public {
        bytes32 id = submitted();
        bytes32 subject = challenge(id, 0);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.NotCourt.selector, address(this)));
        tasks.onRuling(subject, Ruling.Upheld, 0);
        // Unknown, or twice: nothing happens.
        rule(keccak256("unknown"), Ruling.Upheld);
        rule(subject, Ruling.Dismissed);
        rule(subject, Ruling.Upheld);
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.winner, address(0));
        assertEq(t.openDisputes, 0);
    }
}
