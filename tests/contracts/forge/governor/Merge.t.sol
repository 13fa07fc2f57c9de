// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Version} from "contracts/interfaces/IModelRegistry.sol";
import {
    TuningBase,
    Assertion,
    Case,
    Epoch,
    IAssertions,
    ITuningGovernor,
    ITuningGovernorPayments,
    Merge,
    Ruling,
    Standing,
    T
} from "./TuningBase.t.sol";

contract MergeTest is TuningBase {
    uint256 private epoch;
    Merge private m;

    function setUp() public override {
        super.setUp();
        (epoch,) = closedEpoch(1000e6);
        m = Merge(modelId, uint64(epoch), keccak256("next"));
    }

    function atMergeDate() private {
        vm.warp(governor.mergeFrom(epoch));
    }

    function posted() private returns (uint256 id) {
        atMergeDate();
        return postMerge(stranger, m);
    }

    function test_theDateIsWhenEveryTaskIsOver() public view {
        uint256 latestStart = (epoch + 1) * T.EPOCH + T.CLOSE;
        assertEq(governor.mergeFrom(epoch), latestStart + tasks.longest() + 1);
        assertEq(governor.overFrom(epoch), governor.mergeFrom(epoch) + T.MERGE + T.CHALLENGE + T.DISPUTE + 1);
    }

    function test_unchallengedItBecomesAVersion() public {
        atMergeDate();
        vm.expectEmit(address(governor));
        emit ITuningGovernor.MergePosted(1, modelId, uint64(epoch), stranger, m.manifest);
        uint256 id = postMerge(stranger, m);
        uint256 until = block.timestamp + T.CHALLENGE;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.TooEarly.selector, until + 1, until));
        governor.finishMerge(id, m);
        vm.warp(until + 1);
        uint256 before = vault.balanceOf(stranger);
        vm.expectEmit(address(governor));
        emit ITuningGovernor.MergeFinished(id, modelId, uint64(epoch), 1);
        vm.prank(challenger);
        assertEq(governor.finishMerge(id, m), 1);
        assertEq(vault.balanceOf(stranger) - before, T.BOND);
        Version memory v = models.versionOf(modelId, 1);
        assertEq(v.manifest, m.manifest);
        assertEq(v.parent, 0);
        assertEq(v.epoch, epoch);
        assertEq(governor.epochOf(modelId, epoch).version, 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WrongStanding.selector, id, Standing.Settled));
        governor.finishMerge(id, m);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.AlreadyPublished.selector, modelId, epoch, 1));
        postMerge(stranger, m);
    }

    function test_onlyInItsWindow() public {
        uint256 from = governor.mergeFrom(epoch);
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.TooEarly.selector, from, from - 1));
        postMerge(stranger, m);
        vm.warp(from + T.MERGE + 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WindowClosed.selector, from + T.MERGE, from + T.MERGE + 1));
        postMerge(stranger, m);
    }

    function test_refusals() public {
        atMergeDate();
        bytes memory call_ = abi.encodeCall(ITuningGovernorPayments.postMerge, (m));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WrongBond.selector, T.BOND - 1, T.BOND));
        vault.payAndCall(address(governor), T.BOND - 1, call_);
        Merge memory other = m;
        other.manifest = 0;
        vm.expectRevert(ITuningGovernor.EmptyManifest.selector);
        postMerge(stranger, other);
        other = Merge(modelId, uint64(epoch - 1), m.manifest);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.NothingFunded.selector, modelId, epoch - 1));
        postMerge(stranger, other);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.UnknownCall.selector, bytes4(0x12345678)));
        vault.payAndCall(address(governor), 1, hex"12345678");
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WrongStanding.selector, 7, Standing.None));
        governor.finishMerge(7, m);
        uint256 id = postMerge(stranger, m);
        other = m;
        other.manifest = keccak256("another");
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAssertions.WrongContent.selector, id, keccak256(abi.encode(other)), keccak256(abi.encode(m))
            )
        );
        governor.finishMerge(id, other);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.NotCourt.selector, address(this)));
        governor.onRuling(bytes32(id), Ruling.Upheld, 0);
        vm.expectRevert(abi.encodeWithSelector(ITuningGovernor.NotVault.selector, address(this)));
        governor.onVaultPayment(stranger, T.BOND, call_);
    }

    function test_theCourtIsAskedWhetherItIsTheMerge() public {
        uint256 id = posted();
        vm.expectEmit(address(governor));
        emit IAssertions.AssertionChallenged(id, challenger, block.timestamp + T.DISPUTE);
        challengeMerge(id, m);
        Case memory c = tuningCourt.case_();
        assertEq(c.subject, bytes32(id));
        assertEq(c.challenger, challenger);
        assertEq(c.node, stranger);
        assertEq(c.modelId, modelId);
        assertEq(c.finish, 17);
        assertEq(c.promptTokens, 48);
        assertEq(c.outputTokens, 1);
        uint64 ticket = governor.epochOf(modelId, epoch).ticket;
        bytes memory evidence = abi.encode(modelId, epoch, m.manifest, 0, ticket, 20_000);
        assertEq(tuningCourt.lastPromptHash(), keccak256(evidence));
        assertEq(tuningCourt.lastOutputHash(), keccak256(hex"00000011"));
    }

    function test_upheldLosesTheBond() public {
        uint256 id = posted();
        challengeMerge(id, m);
        vm.expectRevert();
        governor.finishMerge(id, m);
        tuningCourt.rule(governor, bytes32(id), Ruling.Upheld, 1e6);
        (uint256 court_, uint256 won) = (vault.balanceOf(address(tuningCourt)), vault.balanceOf(challenger));
        uint256 burned = vault.balanceOf(BURNED);
        vm.expectEmit(address(governor));
        emit IAssertions.AssertionSettled(id, false, 7e6, 1e6, 12e6);
        assertEq(governor.finishMerge(id, m), 0);
        assertEq(vault.balanceOf(challenger) - won, 7e6);
        assertEq(vault.balanceOf(address(tuningCourt)) - court_, 1e6);
        assertEq(vault.balanceOf(BURNED) - burned, 12e6);
        assertEq(models.latestVersion(modelId), 0, "the parent goes on serving");
        // The right one can still come.
        Merge memory right = Merge(modelId, uint64(epoch), keccak256("right"));
        uint256 second = postMerge(alice_(), right);
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertEq(governor.finishMerge(second, right), 1);
    }

    function alice_() private returns (address) {
        fund(alice, T.BOND);
        return alice;
    }

    function test_dismissedStands() public {
        uint256 id = posted();
        challengeMerge(id, m);
        tuningCourt.rule(governor, bytes32(id), Ruling.Dismissed, 5e6);
        assertEq(governor.finishMerge(id, m), 1);
        assertEq(vault.balanceOf(stranger), 1000e6);
    }

    function test_undecidedIsNotPublishedAndCostsNothing() public {
        uint256 id = posted();
        challengeMerge(id, m);
        tuningCourt.rule(governor, bytes32(id), Ruling.Undecided, 0);
        assertEq(governor.finishMerge(id, m), 0);
        assertEq(vault.balanceOf(stranger), 1000e6);
    }

    function test_aCourtThatSaysNothingEndsByTime() public {
        uint256 id = posted();
        challengeMerge(id, m);
        vm.warp(block.timestamp + T.DISPUTE + 1);
        // Too late to matter.
        tuningCourt.rule(governor, bytes32(id), Ruling.Upheld, 0);
        assertEq(governor.finishMerge(id, m), 0);
        assertEq(vault.balanceOf(stranger), 1000e6);
    }

    function test_challengedOnceAndInTime() public {
        uint256 id = posted();
        challengeMerge(id, m);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WrongStanding.selector, id, Standing.Disputed));
        challengeMerge(id, m);
        uint256 second = postMerge(stranger, m);
        uint256 until = block.timestamp + T.CHALLENGE;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IAssertions.WindowClosed.selector, until, until + 1));
        challengeMerge(second, m);
    }

    /// @dev A wrong merge, posted first and never challenged away in time, does not keep the right one from waiting beside it; the first to stand is published.
    function test_nobodyHoldsThePlace() public {
        uint256 wrong = posted();
        Merge memory right = Merge(modelId, uint64(epoch), keccak256("right"));
        uint256 id = postMerge(stranger, right);
        challengeMerge(wrong, m);
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        assertEq(governor.finishMerge(id, right), 1);
        tuningCourt.rule(governor, bytes32(wrong), Ruling.Dismissed, 0);
        assertEq(governor.finishMerge(wrong, m), 0, "one version an epoch");
        assertEq(models.latestVersion(modelId), 1);
    }

    function test_theParentIsWhatWasTuned() public {
        uint256 first = posted();
        vm.warp(block.timestamp + T.CHALLENGE + 1);
        // A second epoch, voted and closed before the first one's version is there.
        nextEpoch();
        assertEq(governor.finishMerge(first, m), 1);
        Epoch memory e = governor.epochOf(modelId, epoch);
        assertEq(e.parent, 0);
        assertEq(models.versionOf(modelId, 1).parent, 0);
    }
}
