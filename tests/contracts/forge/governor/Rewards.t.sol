// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    TuningBase,
    Case,
    IAssertions,
    IEpochRewards,
    IEpochRewardsPayments,
    Pot,
    RewardRoot,
    Ruling,
    T
} from "./TuningBase.t.sol";

contract RewardsTest is TuningBase {
    uint256 private constant POT = 20e6;

    bytes32 private pot;
    bytes32[2] private leaves;
    RewardRoot private r;

    function setUp() public override {
        super.setUp();
        vm.prank(sponsor);
        vault.payAndCall(address(rewards), POT, openCall(uint40(block.timestamp + 1 days)));
        pot = rewards.potId(sponsor, REFERENCE);
        leaves[0] = leaf(0, alice, 3e6, 6e6);
        leaves[1] = leaf(1, bob, 2e6, 9e6);
        r = RewardRoot(pot, pair(leaves[0], leaves[1]), 5e6, keccak256("list"));
    }

    function openCall(uint40 from) private view returns (bytes memory) {
        return abi.encodeCall(IEpochRewardsPayments.openPot, (modelId, REFERENCE, from, sponsor));
    }

    function leaf(uint256 index, address account, uint256 amount, uint256 fees) private view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(pot, index, account, amount, fees, bytes32("list")))));
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
    }

    function proof(uint256 other) private view returns (bytes32[] memory path) {
        path = new bytes32[](1);
        path[0] = leaves[other];
    }

    function posted() private returns (uint256) {
        vm.warp(rewards.potOf(pot).from);
        return postRoot(stranger, r);
    }

    function accepted() private {
        uint256 id = posted();
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertTrue(rewards.finishRoot(id, r));
    }

    function claimReward(uint256 index, address account, uint256 amount, uint256 fees) private {
        rewards.claim(pot, index, account, amount, fees, bytes32("list"), proof(1 - index));
    }

    function challengeRoot(uint256 id) private {
        vm.prank(challenger);
        vault.payAndCall(address(rewards), 3e6, abi.encodeCall(IEpochRewardsPayments.challengeRoot, (id, r)));
    }

    function test_batchesAreAnnounced() public {
        vm.expectEmit(address(rewards));
        emit IEpochRewards.PreferencesPublished(modelId, stranger, 12, keccak256("root"), keccak256("list"));
        vm.prank(stranger);
        rewards.publishPreferences(modelId, 12, keccak256("root"), keccak256("list"));
    }

    function test_claimedByProof() public {
        accepted();
        vm.expectEmit(address(rewards));
        emit IEpochRewards.RewardClaimed(pot, alice, 0, 3e6);
        vm.prank(stranger);
        claimReward(0, alice, 3e6, 6e6);
        assertEq(vault.balanceOf(alice), 3e6);
        claimReward(1, bob, 2e6, 9e6);
        assertEq(vault.balanceOf(bob), 2e6);
        assertEq(rewards.potOf(pot).left, POT - 5e6);
        assertTrue(rewards.claimed(pot, 0) && rewards.claimed(pot, 1));
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.AlreadyClaimed.selector, pot, 0));
        claimReward(0, alice, 3e6, 6e6);
    }

    function test_nothingBeforeTheWindowHasPassed() public {
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.NoRoot.selector, pot));
        claimReward(0, alice, 3e6, 6e6);
        uint256 id = posted();
        uint256 until = block.timestamp + T.CHALLENGE;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.TooEarly.selector, until + 1, until));
        rewards.finishRoot(id, r);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.NoRoot.selector, pot));
        claimReward(0, alice, 3e6, 6e6);
    }

    function test_onlyWhatTheRootSays() public {
        accepted();
        bytes32 wrong = leaf(0, stranger, 3e6, 6e6);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadProof.selector, wrong));
        claimReward(0, stranger, 3e6, 6e6);
        wrong = leaf(0, alice, 3e6 - 1, 6e6);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadProof.selector, wrong));
        claimReward(0, alice, 3e6 - 1, 6e6);
        wrong = leaf(1, alice, 3e6, 6e6);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadProof.selector, wrong));
        claimReward(1, alice, 3e6, 6e6);
    }

    /// @dev Even a root that stood can't pay more than half of the fees that its own leaf speaks of.
    function test_atMostHalfTheFees() public {
        leaves[0] = leaf(0, alice, 3e6, 6e6 - 1);
        r.root = pair(leaves[0], leaves[1]);
        accepted();
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.AboveHalfTheFees.selector, 3e6, 6e6 - 1));
        claimReward(0, alice, 3e6, 6e6 - 1);
        claimReward(1, bob, 2e6, 9e6);
    }

    function test_neverMoreThanThePot() public {
        leaves[0] = leaf(0, alice, POT - 1e6, 2 * POT);
        r.root = pair(leaves[0], leaves[1]);
        accepted();
        claimReward(0, alice, POT - 1e6, 2 * POT);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.PotExhausted.selector, 1e6, 2e6));
        claimReward(1, bob, 2e6, 9e6);
    }

    function test_aWrongRootIsChallenged() public {
        uint256 id = posted();
        challengeRoot(id);
        Case memory c = tuningCourt.case_();
        assertEq(c.subject, bytes32(id));
        assertEq(c.finish, 18);
        assertEq(c.node, stranger);
        assertEq(c.modelId, modelId);
        assertEq(tuningCourt.lastPromptHash(), keccak256(abi.encode(r)));
        tuningCourt.rule(rewards, bytes32(id), Ruling.Upheld, 0);
        uint256 spent = vault.balanceOf(challenger);
        assertFalse(rewards.finishRoot(id, r));
        assertEq(vault.balanceOf(challenger) - spent, 8e6);
        // The right one can be posted still, or beside it.
        id = postRoot(stranger, r);
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertTrue(rewards.finishRoot(id, r));
    }

    function test_theFirstThatStandsIsTheRoot() public {
        uint256 a = posted();
        uint256 b = postRoot(stranger, r);
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertTrue(rewards.finishRoot(b, r));
        assertFalse(rewards.finishRoot(a, r));
        assertEq(vault.balanceOf(stranger), 1000e6, "both bonds are back");
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.RootExists.selector, pot, r.root));
        postRoot(stranger, r);
    }

    function test_rootsInTheirWindow() public {
        uint256 from = rewards.potOf(pot).from;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.TooEarly.selector, from, from - 1));
        postRoot(stranger, r);
        vm.warp(from + T.POST + 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WindowClosed.selector, from + T.POST, from + T.POST + 1));
        postRoot(stranger, r);
    }

    function test_refusals() public {
        vm.startPrank(sponsor);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.PotExists.selector, pot));
        vault.payAndCall(address(rewards), POT, openCall(uint40(block.timestamp)));
        vm.expectRevert(IEpochRewards.EmptyPot.selector);
        vault.payAndCall(address(rewards), 0, openCall(uint40(block.timestamp)));
        uint256 limit = block.timestamp + 365 days;
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadDate.selector, limit + 1, limit));
        vault.payAndCall(address(rewards), POT, openCall(uint40(limit + 1)));
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadDate.selector, block.timestamp - 1, limit));
        vault.payAndCall(address(rewards), POT, openCall(uint40(block.timestamp - 1)));
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.UnknownCall.selector, bytes4(0x01020304)));
        vault.payAndCall(address(rewards), 1, hex"01020304");
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.NotVault.selector, address(this)));
        rewards.onVaultPayment(sponsor, POT, openCall(uint40(block.timestamp)));
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.UnknownPot.selector, bytes32(0)));
        rewards.sweep(0);
        vm.warp(rewards.potOf(pot).from);
        r.total = POT + 1;
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadRoot.selector, r.root, POT + 1, POT));
        postRoot(stranger, r);
        (r.total, r.root) = (1, 0);
        vm.expectRevert(abi.encodeWithSelector(IEpochRewards.BadRoot.selector, 0, 1, POT));
        postRoot(stranger, r);
    }

    function test_whatNobodyClaimsGoesBack() public {
        accepted();
        claimReward(0, alice, 3e6, 6e6);
        uint256 until = rewards.potOf(pot).claimUntil;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.TooEarly.selector, until + 1, until));
        rewards.sweep(pot);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WindowClosed.selector, until, until + 1));
        claimReward(1, bob, 2e6, 9e6);
        assertEq(rewards.sweep(pot), POT - 3e6);
        assertEq(vault.balanceOf(sponsor), 10_000e6 - 3e6);
        assertEq(rewards.sweep(pot), 0);
    }

    function test_withoutARootAllGoesBack() public {
        uint256 from = rewards.sweepFrom(pot);
        // The last root that can be posted, disputed to its limit, can still be finished before.
        assertEq(from, rewards.potOf(pot).from + T.POST + 2 * uint256(T.CHALLENGE) + T.DISPUTE + 1);
        vm.warp(from);
        assertEq(rewards.sweep(pot), POT);
        assertEq(vault.balanceOf(sponsor), 10_000e6);
    }

    function test_aRootThatComesAfterTheSweepFindsNothing() public {
        uint256 id = posted();
        vm.warp(rewards.sweepFrom(pot));
        rewards.sweep(pot);
        assertFalse(rewards.finishRoot(id, r));
        assertEq(vault.balanceOf(stranger), 1000e6);
    }

    function test_potsAreApart() public {
        accepted();
        vm.prank(sponsor);
        vault.payAndCall(
            address(rewards),
            7e6,
            abi.encodeCall(IEpochRewardsPayments.openPot, (modelId, bytes32(0), uint40(block.timestamp), sponsor))
        );
        bytes32 other = rewards.potId(sponsor, 0);
        RewardRoot memory same = r;
        same.pot = other;
        uint256 id = postRoot(stranger, same);
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertTrue(rewards.finishRoot(id, same));
        // The other pot's leaves name their own pot.
        vm.expectRevert();
        rewards.claim(other, 0, alice, 3e6, 6e6, bytes32("list"), proof(1));
    }

    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_theSumOfClaimsIsWhatLeft(uint256 a, uint256 b, uint256 fees) public {
        (a, b, fees) = (bound(a, 0, 30e6), bound(b, 0, 30e6), bound(fees, 0, 80e6));
        leaves[0] = leaf(0, alice, a, fees);
        leaves[1] = leaf(1, bob, b, fees);
        r.root = pair(leaves[0], leaves[1]);
        accepted();
        uint256 paid;
        try rewards.claim(pot, 0, alice, a, fees, bytes32("list"), proof(1)) {
            paid += a;
        } catch {}
        try rewards.claim(pot, 1, bob, b, fees, bytes32("list"), proof(0)) {
            paid += b;
        } catch {}
        assertLe(paid, POT);
        assertLe(paid, fees);
        assertEq(rewards.potOf(pot).left, POT - paid);
        assertEq(vault.balanceOf(address(rewards)), POT - paid);
    }
}
