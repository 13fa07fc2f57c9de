// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {TuningBase, ITuningVotes, IModelRegistry, Holding, T} from "./TuningBase.t.sol";

contract LockTest is TuningBase {
    function test_countsFromTheNextEpoch() public {
        uint256 epoch = governor.currentEpoch();
        vm.startPrank(alice);
        shares.approve(address(governor), 10e18);
        vm.expectEmit(address(governor));
        emit ITuningVotes.TokensLocked(modelId, alice, 10e18, epoch + 1);
        governor.lock(modelId, 10e18);
        assertEq(governor.holdingOf(modelId, alice).locked, 10e18);
        assertEq(shares.balanceOf(address(governor)), 10e18);
        assertEq(governor.powerOf(modelId, alice, epoch), 0);
        assertEq(governor.powerOf(modelId, alice, epoch + 1), 10e18);
        assertEq(governor.powerOf(modelId, alice, epoch + 9), 10e18);
    }

    function test_withPermit() public {
        (address carol, uint256 key) = makeAddrAndKey("carol");
        vm.prank(alice);
        shares.transfer(carol, 5e18);
        bytes32 domain = IERC20Permit(address(shares)).DOMAIN_SEPARATOR();
        bytes32 type_ = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash = keccak256(abi.encode(type_, carol, address(governor), 5e18, 0, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, hash)));
        // Sent first by somebody who saw it: no obstacle.
        IERC20Permit(address(shares)).permit(carol, address(governor), 5e18, block.timestamp, v, r, s);
        vm.prank(carol);
        governor.lockWithPermit(modelId, 5e18, block.timestamp, v, r, s);
        assertEq(governor.holdingOf(modelId, carol).locked, 5e18);
    }

    function test_refusals() public {
        vm.startPrank(alice);
        vm.expectRevert(ITuningVotes.ZeroAmount.selector);
        governor.lock(modelId, 0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        governor.lock(1, 1);
        vm.expectRevert();
        governor.lock(modelId, 1);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.InsufficientLocked.selector, 0, 1));
        governor.unlock(modelId, 1);
        vm.expectRevert(ITuningVotes.ZeroAmount.selector);
        governor.unlock(modelId, 0);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.NothingLeaving.selector, modelId, alice));
        governor.withdraw(modelId);
    }

    function test_refusesASupplyThatVotesCantHold() public {
        vm.startPrank(trainer);
        uint256 supply = uint256(type(uint96).max) + 1;
        (uint64 big,) = models.register("big", "B", MANIFEST, 0, supply);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.SupplyTooLarge.selector, supply, uint256(type(uint96).max)));
        governor.lock(big, 1);
    }

    function test_unlockedTokensVoteOutTheirEpochAndThenLeave() public {
        lock(alice, 10e18);
        nextEpoch();
        uint256 epoch = governor.currentEpoch();
        uint256 end = (epoch + 1) * T.EPOCH;
        vm.startPrank(alice);
        vm.expectEmit(address(governor));
        emit ITuningVotes.TokensUnlocked(modelId, alice, 4e18, end);
        governor.unlock(modelId, 4e18);
        assertEq(governor.powerOf(modelId, alice, epoch), 10e18);
        assertEq(governor.powerOf(modelId, alice, epoch + 1), 6e18);
        vm.warp(end - 1);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.StillLocked.selector, end, end - 1));
        governor.withdraw(modelId);
        vm.warp(end);
        uint256 before = shares.balanceOf(alice);
        assertEq(governor.withdraw(modelId), 4e18);
        assertEq(shares.balanceOf(alice) - before, 4e18);
        Holding memory h = governor.holdingOf(modelId, alice);
        assertEq(h.locked, 6e18);
        assertEq(h.leaving, 0);
    }

    /// @dev The flash lock: tokens held for a block never vote, whichever block it is.
    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_tokensHeldForAMomentNeverVote(uint256 moment) public {
        moment = bound(moment, 0, T.EPOCH - 1);
        (, bytes32 id) = proposed(someTerms());
        uint256 begin = block.timestamp;
        vm.warp(begin + moment);
        lock(bob, 200_000e18);
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.InsufficientPower.selector, bob, 0, 1));
        governor.vote(id, 1);
        governor.unlock(modelId, 200_000e18);
        vm.expectRevert();
        governor.withdraw(modelId);
        // Back at the very start of the next epoch, and without a vote in it.
        vm.warp(begin + T.EPOCH);
        governor.withdraw(modelId);
        assertEq(governor.powerOf(modelId, bob, governor.currentEpoch()), 0);
    }

    /// forge-config: default.fuzz.runs = 1000
    function testFuzz_powerIsWhatWasLocked(uint256 a, uint256 b, uint256 c) public {
        a = bound(a, 1, 200_000e18);
        b = bound(b, 0, a);
        c = bound(c, 0, 200_000e18 - a);
        lock(bob, a);
        nextEpoch();
        if (b != 0) {
            vm.prank(bob);
            governor.unlock(modelId, b);
        }
        if (c != 0) lock(bob, c);
        uint256 epoch = governor.currentEpoch();
        assertEq(governor.powerOf(modelId, bob, epoch), a);
        assertEq(governor.powerOf(modelId, bob, epoch + 1), a - b + c);
        assertEq(shares.balanceOf(address(governor)), a + c);
    }
}
