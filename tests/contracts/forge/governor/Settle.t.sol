// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase, ITuningTasks, Outcome, Ruling, TaskStatus, TuningFunction, TuningTask, T} from "./TuningBase.t.sol";

contract SettleTest is TuningBase {
    function expectOutcome(bytes32 id, Outcome outcome, uint256 pay) private {
        vm.expectEmit(address(tasks));
        emit ITuningTasks.TaskSettled(id, 0, node, outcome, pay);
    }

    function tooEarly(bytes32 id, uint256 from) private {
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.TooEarly.selector, from, from - 1));
        tasks.settle(id, 0);
        vm.warp(from);
    }

    function test_auditedAndUnchallengedIsPaid() public {
        bytes32 id = audited();
        tooEarly(id, tasks.taskOf(id, 0).time + 2 * uint256(T.AUDIT) + T.CHALLENGE + 1);
        expectOutcome(id, Outcome.Paid, 18e6);
        vm.prank(stranger);
        tasks.settle(id, 0);
        assertEq(vault.balanceOf(node), 18e6);
        assertEq(vault.balanceOf(judge), AUDIT_FEE);
        assertEq(stakeReserved(node), 0);
        assertEq(stakeReserved(judge), 0);
        assertTask(id, TaskStatus.Accepted);
        TuningFunction memory f = tasks.functionOf(id);
        assertEq(f.committed, 0);
        assertEq(f.left, AMOUNT * 4 / 5 - 18e6 - AUDIT_FEE);
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.WrongStatus.selector, id, 0, TaskStatus.Accepted));
        tasks.settle(id, 0);
    }

    function test_unauditedIsAsIfAbandoned() public {
        bytes32 id = submitted();
        tooEarly(id, tasks.taskOf(id, 0).time + 2 * uint256(T.AUDIT) + 1);
        expectOutcome(id, Outcome.Unaudited, 0);
        tasks.settle(id, 0);
        assertTask(id, TaskStatus.Open);
        assertEq(stakeOf(node), 300e6 - T.MISS);
        assertEq(stakeReserved(node), 0);
        assertEq(vault.balanceOf(BURNED), T.MISS);
        assertEq(tasks.functionOf(id).committed, 0);
        claim(id, 0, rival);
    }

    function test_aSegmentThatDiffersCostsTheStake() public {
        bytes32 id = audited();
        uint256 mask = tasks.taskOf(id, 0).audited;
        uint256 segment = 0;
        while (mask >> segment & 1 != 0) ++segment;
        bytes32 subject = challenge(id, segment);
        uint256 spent = vault.balanceOf(challenger);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.SegmentRuled(subject, Ruling.Upheld);
        rule(subject, Ruling.Upheld);
        // Stake: 2 · 18e6 · 8/2 = 144e6, of which two fifths to the challenger.
        expectOutcome(id, Outcome.Wrong, 0);
        vm.expectEmit(address(tasks));
        emit ITuningTasks.StakeSlashed(id, 0, node, 144e6, 57_600_000, 86_400_000);
        tasks.settle(id, 0);
        assertEq(vault.balanceOf(challenger) - spent, 57_600_000);
        assertEq(stakeOf(node), 300e6 - 144e6);
        assertEq(stakeOf(judge), 300e6, "audited another segment");
        assertEq(stakeReserved(judge), 0);
        assertEq(vault.balanceOf(judge), 0);
        assertTask(id, TaskStatus.Open);
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.price, MOST / 2);
        assertEq(t.challenged, 0);
        assertEq(t.audited, 0);
        claim(id, 0, rival);
    }

    function test_andTheAuditorsThatSaidItAgrees() public {
        bytes32 id = audited();
        uint256 mask = tasks.taskOf(id, 0).audited;
        uint256 segment = 0;
        while (mask >> segment & 1 == 0) ++segment;
        bytes32 subject = challenge(id, segment);
        tuningCourt.rule(tasks, subject, Ruling.Upheld, 7e6);
        uint256 court_ = vault.balanceOf(address(tuningCourt));
        uint256 spent = vault.balanceOf(challenger);
        tasks.settle(id, 0);
        assertEq(stakeOf(judge), 300e6 - T.AUDIT_STAKE);
        // Two fifths of both, less what the court asked for.
        assertEq(vault.balanceOf(challenger) - spent, 57_600_000 + 2e6 - 7e6);
        assertEq(vault.balanceOf(address(tuningCourt)) - court_, 7e6);
        assertEq(vault.balanceOf(BURNED), 86_400_000 + 3e6);
    }

    function test_dismissedIsPaidAfterTheWindow() public {
        bytes32 id = audited();
        rule(challenge(id, 3), Ruling.Dismissed);
        vm.expectRevert();
        tasks.settle(id, 0);
        passWindows();
        expectOutcome(id, Outcome.Paid, 18e6);
        tasks.settle(id, 0);
    }

    function test_undecidedForfeitsTheRewardAndNoStake() public {
        bytes32 id = audited();
        rule(challenge(id, 3), Ruling.Undecided);
        passWindows();
        expectOutcome(id, Outcome.Unsettled, 0);
        tasks.settle(id, 0);
        assertEq(stakeOf(node), 300e6);
        assertEq(stakeReserved(node), 0);
        assertEq(stakeOf(judge), 300e6);
        assertEq(stakeReserved(judge), 0);
        assertEq(vault.balanceOf(judge), 0);
        assertTask(id, TaskStatus.Open);
    }

    function test_oneUpheldAmongManyIsEnough() public {
        bytes32 id = audited();
        bytes32 a = challenge(id, 1);
        bytes32 b = challenge(id, 2);
        bytes32 c = challenge(id, 3);
        rule(a, Ruling.Dismissed);
        rule(b, Ruling.Undecided);
        rule(c, Ruling.Upheld);
        expectOutcome(id, Outcome.Wrong, 0);
        tasks.settle(id, 0);
    }

    /// @dev Having a good segment judged does not make the rest safe.
    function test_challengingOneselfShieldsNothing() public {
        bytes32 id = audited();
        rule(challenge(id, 1), Ruling.Dismissed);
        rule(challenge(id, 2), Ruling.Upheld);
        expectOutcome(id, Outcome.Wrong, 0);
        tasks.settle(id, 0);
    }

    function test_aCourtThatSaysNothingEndsByTime() public {
        bytes32 id = audited();
        bytes32 subject = challenge(id, 3);
        uint256 limit = tasks.taskOf(id, 0).time + 2 * uint256(T.AUDIT) + T.CHALLENGE + T.DISPUTE;
        tooEarly(id, limit + 1);
        rule(subject, Ruling.Upheld);
        assertEq(tasks.taskOf(id, 0).winner, address(0), "too late");
        // It counts as answered in no way.
        expectOutcome(id, Outcome.Unsettled, 0);
        tasks.settle(id, 0);
    }

    /// @dev A ruling about an attempt that is over does nothing to the next one.
    function test_aRulingFromAnEarlierAttemptChangesNothing() public {
        bytes32 id = audited();
        bytes32 first = challenge(id, 1);
        bytes32 second = challenge(id, 2);
        rule(first, Ruling.Upheld);
        tasks.settle(id, 0);
        claim(id, 0, rival);
        rule(second, Ruling.Upheld);
        vm.prank(rival);
        tasks.submit(id, 0, someWork());
        TuningTask memory t = tasks.taskOf(id, 0);
        assertEq(t.winner, address(0));
        assertEq(t.openDisputes, 0);
        assertEq(t.attempt, 2);
    }

    function test_slashedStakeIsNeverMoreThanThere() public {
        bytes32 id = submitted();
        bytes32 subject = challenge(id, 1);
        rule(subject, Ruling.Upheld);
        // Not audited: nothing to wait for either.
        tasks.settle(id, 0);
        assertEq(stakeOf(node), 300e6 - 144e6);
    }

    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_moneyOfEveryOutcome(uint8 rulingA, uint8 rulingB, bool isAudited) public {
        bytes32 id = claimed();
        vm.prank(node);
        tasks.submit(id, 0, someWork());
        pass(1 minutes);
        if (isAudited) audit(id, judge);
        bytes32 a = challenge(id, 1);
        bytes32 b = challenge(id, 2);
        uint256 before = total();
        rule(a, Ruling(rulingA % 4));
        if (rulingB % 5 != 4) rule(b, Ruling(rulingB % 5));
        vm.warp(block.timestamp + 2 * uint256(T.AUDIT) + T.CHALLENGE + T.DISPUTE + 1);
        tasks.settle(id, 0);
        assertEq(total(), before, "nothing made, nothing lost");
        assertEq(stakeReserved(node) + stakeReserved(judge), 0);
        TuningFunction memory f = tasks.functionOf(id);
        assertEq(f.committed, 0);
        assertEq(vault.balanceOf(address(tasks)), f.left);
    }

    function total() private view returns (uint256 sum) {
        address[7] memory all =
            [node, judge, challenger, BURNED, address(tasks), address(registry), address(tuningCourt)];
        for (uint256 i = 0; i < all.length; ++i) {
            sum += vault.balanceOf(all[i]);
        }
    }
}
