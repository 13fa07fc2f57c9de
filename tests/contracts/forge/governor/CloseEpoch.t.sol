// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    TuningBase,
    IAssertions,
    ITuningGovernor,
    ITuningTasks,
    Epoch,
    Proposal,
    TuningFunction,
    TuningTerms,
    T
} from "./TuningBase.t.sol";

contract CloseEpochTest is TuningBase {
    function setUp() public override {
        super.setUp();
        lock(alice, 300_000e18);
        lock(bob, 200_000e18);
        nextEpoch();
        fundTreasury(1000e6);
    }

    function list(Proposal memory a, Proposal memory b) private pure returns (Proposal[] memory both) {
        both = new Proposal[](2);
        (both[0], both[1]) = (a, b);
    }

    function test_splitsInProportionToVotes() public {
        (Proposal memory a, bytes32 idA) = proposed(keccak256("a"));
        (Proposal memory b, bytes32 idB) = proposed(keccak256("b"));
        vote(alice, idA, 300_000e18);
        vote(bob, idB, 100_000e18);
        uint256 epoch = governor.currentEpoch();
        nextEpoch();
        uint64 ticket = uint64(block.number + 2);
        vm.expectEmit(address(governor));
        emit ITuningGovernor.EpochClosed(modelId, uint64(epoch), 1000e6, 400_000e18, 0, ticket);
        vm.expectEmit(address(governor));
        emit ITuningGovernor.ProposalFunded(idA, modelId, uint64(epoch), 750e6);
        vm.prank(stranger);
        assertEq(governor.closeEpoch(modelId, list(a, b)), 2);
        assertEq(governor.treasuryOf(modelId), 0);
        assertEq(vault.balanceOf(address(governor)), 0);
        // A fifth of each waits for consumers, the rest for nodes.
        assertEq(vault.balanceOf(address(tasks)), 800e6);
        assertEq(vault.balanceOf(address(rewards)), 200e6);
        TuningFunction memory f = tasks.functionOf(tasks.functionId(address(governor), b.terms, 0, idB));
        assertEq(f.payer, address(governor));
        assertEq(f.left, 200e6);
        assertEq(f.most, 90e6);
        assertEq(f.auditFee, 10e6);
        Epoch memory e = governor.epochOf(modelId, epoch);
        assertEq(e.spent, 1000e6);
        assertEq(e.functions, 2);
        assertTrue(e.closed);
    }

    function test_belowTheQuorumGetsNothing() public {
        (Proposal memory a, bytes32 idA) = proposed(keccak256("a"));
        (Proposal memory b, bytes32 idB) = proposed(keccak256("b"));
        vote(alice, idA, 300_000e18);
        vote(bob, idB, 100_000e18 - 1);
        nextEpoch();
        assertEq(governor.closeEpoch(modelId, list(a, b)), 1);
        // All of it to the other one, which votes are shared among.
        assertEq(governor.treasuryOf(modelId), 0);
        assertFalse(governor.pollOf(idB).funded);
    }

    /// @dev A few who vote alone spend a part, not what belongs to all: 15% of the supply of the 30% that a full turnout is.
    function test_aPoorTurnoutSpendsAPart() public {
        (Proposal memory a, bytes32 id) = proposed(someTerms());
        vote(bob, id, 150_000e18);
        nextEpoch();
        governor.closeEpoch(modelId, one(a));
        assertEq(governor.treasuryOf(modelId), 500e6);
    }

    function test_nothingQualifiedRollsOver() public {
        (Proposal memory a, bytes32 id) = proposed(someTerms());
        vote(alice, id, 1);
        uint256 epoch = governor.currentEpoch();
        nextEpoch();
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.NothingQualified.selector, modelId, epoch));
        governor.closeEpoch(modelId, one(a));
        assertEq(governor.treasuryOf(modelId), 1000e6);
    }

    function test_aCapLeavesTheRestInTheTreasury() public {
        TuningTerms memory t = someTerms();
        t.shardCap = 60e6;
        (Proposal memory p, bytes32 id) = proposed(t);
        vote(alice, id, 300_000e18);
        nextEpoch();
        governor.closeEpoch(modelId, one(p));
        assertEq(governor.treasuryOf(modelId), 1000e6 - 120e6);
        assertEq(vault.balanceOf(address(governor)), 1000e6 - 120e6);
    }

    function test_onlyOnceEach() public {
        (Proposal memory a, bytes32 idA) = proposed(keccak256("a"));
        (Proposal memory b, bytes32 idB) = proposed(keccak256("b"));
        vote(alice, idA, 150_000e18);
        vote(bob, idB, 150_000e18);
        nextEpoch();
        Proposal[] memory none = new Proposal[](0);
        governor.closeEpoch(modelId, none);
        // What comes in between is the next epoch's.
        fundTreasury(500e6);
        assertEq(governor.closeEpoch(modelId, list(a, a)), 1, "named twice");
        assertEq(governor.closeEpoch(modelId, list(a, b)), 1, "funded before");
        assertEq(governor.closeEpoch(modelId, list(a, b)), 0);
        assertEq(governor.treasuryOf(modelId), 500e6);
    }

    function test_passesOverWhatIsNotIts() public {
        (Proposal memory a, bytes32 id) = proposed(someTerms());
        vote(alice, id, 300_000e18);
        vm.prank(trainer);
        (uint64 other,) = models.register("other", "O", MANIFEST, 0, 1e18);
        TuningTerms memory t = someTerms();
        t.modelId = other;
        (Proposal memory foreign,) = proposed(t);
        nextEpoch();
        (Proposal memory late,) = proposed(someTerms());
        Proposal memory invented = a;
        invented.terms.shardCap += 1;
        assertEq(governor.closeEpoch(modelId, list(foreign, late)), 0);
        assertEq(governor.closeEpoch(modelId, one(invented)), 0);
        assertEq(governor.treasuryOf(modelId), 1000e6);
    }

    function test_onlyInItsWindow() public {
        (Proposal memory p, bytes32 id) = proposed(someTerms());
        vote(alice, id, 300_000e18);
        uint256 epoch = governor.currentEpoch();
        // The one before it, which nobody voted in.
        vm.warp(epoch * T.EPOCH + T.CLOSE);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.NothingQualified.selector, modelId, epoch - 1));
        governor.closeEpoch(modelId, one(p));
        nextEpoch();
        uint256 until = block.timestamp + T.CLOSE;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WindowClosed.selector, until, until + 1));
        governor.closeEpoch(modelId, one(p));
        vm.warp(until);
        assertEq(governor.closeEpoch(modelId, one(p)), 1);
    }

    function test_otherModelsMoneyIsOutOfReach() public {
        vm.prank(stranger);
        (uint64 other,) = models.register("rich", "R", MANIFEST, 0, 1e18);
        vm.prank(sponsor);
        vault.payAndCall(address(governor), 777e6, abi.encode(other));
        (Proposal memory p, bytes32 id) = proposed(someTerms());
        vote(alice, id, 300_000e18);
        nextEpoch();
        governor.closeEpoch(modelId, one(p));
        assertEq(governor.treasuryOf(other), 777e6);
        assertEq(vault.balanceOf(address(governor)), 777e6);
    }

    /// @dev Whatever the votes and caps, no more than the budget is spent and what is left is in the treasury.
    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_neverMoreThanTheBudget(uint256 a, uint256 b, uint256 cap, uint16 shards, uint256 money) public {
        (a, b) = (bound(a, 0, 300_000e18), bound(b, 0, 200_000e18));
        TuningTerms memory t = someTerms();
        (t.shards, t.shardCap) = (uint16(bound(shards, 1, 256)), uint72(bound(cap, 1, 1e9)));
        money = bound(money, 0, 5000e6);
        if (money != 0) fundTreasury(money);
        (Proposal memory p, bytes32 idP) = proposed(t);
        (Proposal memory q, bytes32 idQ) = proposed(someTerms());
        vote(alice, idP, a);
        vote(bob, idQ, b);
        nextEpoch();
        uint256 before = governor.treasuryOf(modelId);
        try governor.closeEpoch(modelId, list(p, q)) {
            Epoch memory e = governor.epochOf(modelId, governor.currentEpoch() - 1);
            assertLe(e.spent, e.budget);
            assertEq(governor.treasuryOf(modelId), before - e.spent);
            assertEq(vault.balanceOf(address(governor)), before - e.spent);
            assertEq(vault.balanceOf(address(tasks)) + vault.balanceOf(address(rewards)), e.spent);
        } catch {
            assertTrue(a < 100_000e18 && b < 100_000e18);
        }
    }
}
