// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase, ITuningVotes} from "./TuningBase.t.sol";

contract DelegateTest is TuningBase {
    function test_movesPowerFromTheNextEpochOn() public {
        lock(alice, 10e18);
        lock(bob, 5e18);
        nextEpoch();
        uint256 epoch = governor.currentEpoch();
        vm.expectEmit(address(governor));
        emit ITuningVotes.VotesDelegated(modelId, alice, bob, epoch + 1);
        vm.prank(alice);
        governor.delegate(modelId, bob);
        assertEq(governor.delegateOf(modelId, alice), bob);
        assertEq(governor.powerOf(modelId, alice, epoch), 10e18, "this epoch is as it was");
        assertEq(governor.powerOf(modelId, bob, epoch), 5e18);
        assertEq(governor.powerOf(modelId, alice, epoch + 1), 0);
        assertEq(governor.powerOf(modelId, bob, epoch + 1), 15e18);
        // What is locked and unlocked afterwards goes the same way.
        lock(alice, 1e18);
        assertEq(governor.powerOf(modelId, bob, epoch + 1), 16e18);
        vm.prank(alice);
        governor.unlock(modelId, 11e18);
        assertEq(governor.powerOf(modelId, bob, epoch + 1), 5e18);
    }

    function test_isNotHandedOn() public {
        lock(alice, 10e18);
        vm.prank(alice);
        governor.delegate(modelId, bob);
        vm.prank(bob);
        governor.delegate(modelId, trainer);
        uint256 next = governor.currentEpoch() + 1;
        assertEq(governor.powerOf(modelId, bob, next), 10e18);
        assertEq(governor.powerOf(modelId, trainer, next), 0);
    }

    function test_canBeTakenBack() public {
        lock(alice, 10e18);
        vm.startPrank(alice);
        governor.delegate(modelId, bob);
        governor.delegate(modelId, address(0));
        assertEq(governor.delegateOf(modelId, alice), alice);
        governor.delegate(modelId, alice);
        governor.delegate(modelId, bob);
        governor.delegate(modelId, bob);
        uint256 next = governor.currentEpoch() + 1;
        assertEq(governor.powerOf(modelId, alice, next), 0);
        assertEq(governor.powerOf(modelId, bob, next), 10e18);
    }

    /// @dev Whoever delegates in mid-epoch, voted or not, can't have the same tokens vote twice in it.
    function test_noTokenVotesTwice() public {
        lock(alice, 10e18);
        nextEpoch();
        (, bytes32 id) = proposed(someTerms());
        vote(alice, id, 10e18);
        vm.prank(alice);
        governor.delegate(modelId, bob);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.InsufficientPower.selector, bob, 0, 10e18));
        governor.vote(id, 10e18);
    }

    /// forge-config: default.fuzz.runs = 500
    function testFuzz_sumOfPowersIsWhatIsLocked(uint256 seed) public {
        address[3] memory people = [alice, bob, trainer];
        uint256 locked;
        for (uint256 i = 0; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            address who = people[seed % 3];
            uint256 kind = seed >> 8 & 3;
            uint256 amount = bound(seed >> 16, 1, 1000e18);
            if (kind == 0) {
                lock(who, amount);
                locked += amount;
            } else if (kind == 1) {
                amount = bound(amount, 0, governor.holdingOf(modelId, who).locked);
                if (amount == 0) continue;
                vm.prank(who);
                governor.unlock(modelId, amount);
                locked -= amount;
            } else if (kind == 2) {
                vm.prank(who);
                governor.delegate(modelId, people[(seed >> 100) % 3]);
            } else {
                nextEpoch();
            }
            uint256 sum;
            for (uint256 k = 0; k < 3; ++k) {
                sum += governor.powerOf(modelId, people[k], governor.currentEpoch() + 1);
            }
            assertEq(sum, locked);
        }
    }
}
