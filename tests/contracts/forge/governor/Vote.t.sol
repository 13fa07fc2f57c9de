// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase, ITuningVotes} from "./TuningBase.t.sol";

contract VoteTest is TuningBase {
    bytes32 private a;
    bytes32 private b;

    function setUp() public override {
        super.setUp();
        lock(alice, 300_000e18);
        lock(bob, 200_000e18);
        nextEpoch();
        (, a) = proposed(keccak256("a"));
        (, b) = proposed(keccak256("b"));
    }

    function qualified() private view returns (uint256) {
        return governor.epochOf(modelId, governor.currentEpoch()).qualified;
    }

    function test_splitAndChangedUntilTheEnd() public {
        vm.expectEmit(address(governor));
        emit ITuningVotes.VoteCast(a, alice, 200_000e18, 200_000e18);
        vote(alice, a, 200_000e18);
        vote(alice, b, 100_000e18);
        vote(bob, b, 50_000e18);
        assertEq(governor.pollOf(b).votes, 150_000e18);
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(ITuningVotes.InsufficientPower.selector, alice, 300_000e18, 300_000e18 + 1)
        );
        governor.vote(b, 100_000e18 + 1);
        vm.warp((governor.currentEpoch() + 1) * governor.epochLength() - 1);
        vote(alice, a, 0);
        vote(alice, b, 300_000e18);
        assertEq(governor.pollOf(a).votes, 0);
        assertEq(governor.pollOf(b).votes, 350_000e18);
        assertEq(governor.usedOf(modelId, alice, governor.currentEpoch()), 300_000e18);
        assertEq(governor.voteOf(b, alice), 300_000e18);
    }

    function test_notAfterTheEnd() public {
        uint256 epoch = governor.currentEpoch();
        nextEpoch();
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.VotingOver.selector, epoch, epoch + 1));
        governor.vote(a, 1);
    }

    function test_notForWhatNobodyProposed() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(ITuningVotes.UnknownProposal.selector, bytes32(uint256(1))));
        governor.vote(bytes32(uint256(1)), 1);
    }

    function test_countsWhatIsAboveTheQuorum() public {
        // A tenth of the supply is 100,000.
        vote(alice, a, 100_000e18 - 1);
        assertEq(qualified(), 0);
        vote(bob, a, 1);
        assertEq(qualified(), 100_000e18);
        vote(bob, b, 150_000e18);
        assertEq(qualified(), 250_000e18);
        vote(bob, a, 0);
        assertEq(qualified(), 150_000e18);
        vote(alice, b, 10e18);
        assertEq(qualified(), 150_010e18);
    }

    /// @dev In any order of votes: what is recorded is what people have put, within their power, and the sum above the quorum is that of a count.
    /// forge-config: default.fuzz.runs = 500
    function testFuzz_theCountIsRight(uint256 seed) public {
        bytes32[2] memory ids = [a, b];
        address[2] memory people = [alice, bob];
        uint256 epoch = governor.currentEpoch();
        for (uint256 i = 0; i < 16; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            address who = people[seed & 1];
            uint256 weight = bound(seed >> 8, 0, 320_000e18);
            vm.prank(who);
            try governor.vote(ids[seed >> 1 & 1], weight) {} catch {}
            uint256 above;
            for (uint256 k = 0; k < 2; ++k) {
                uint256 sum = governor.voteOf(ids[k], alice) + governor.voteOf(ids[k], bob);
                assertEq(governor.pollOf(ids[k]).votes, sum);
                if (sum >= 100_000e18) above += sum;
            }
            assertEq(qualified(), above);
            for (uint256 k = 0; k < 2; ++k) {
                uint256 used = governor.usedOf(modelId, people[k], epoch);
                assertEq(used, governor.voteOf(a, people[k]) + governor.voteOf(b, people[k]));
                assertLe(used, governor.powerOf(modelId, people[k], epoch));
            }
        }
    }
}
