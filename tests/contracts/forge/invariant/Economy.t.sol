// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TuningBase} from "../governor/TuningBase.t.sol";
import {Economy} from "./Economy.sol";

/// @notice What holds in the tuning economy whatever anybody does, in any order. More is checked around each verb: see Economy.
contract EconomyInvariants is TuningBase {
    Economy private economy;

    function setUp() public override {
        super.setUp();
        address[] memory holders = new address[](3);
        (holders[0], holders[1], holders[2]) = (alice, bob, makeAddr("mallory"));
        vm.prank(trainer);
        shares.transfer(holders[2], 100_000e18);
        address[] memory nodes = new address[](3);
        (nodes[0], nodes[1], nodes[2]) = (node, rival, judge);
        fund(alice, 100e6);
        lock(alice, 200_000e18);
        lock(bob, 100_000e18);
        nextEpoch();
        economy = new Economy(governor, tuningCourt, modelId, sponsor, holders, nodes);
        bytes4[] memory verbs = new bytes4[](28);
        verbs[0] = Economy.hold.selector;
        verbs[1] = Economy.propose.selector;
        verbs[2] = Economy.waitFor.selector;
        verbs[3] = Economy.vote.selector;
        verbs[4] = Economy.fund.selector;
        verbs[5] = Economy.close.selector;
        verbs[6] = Economy.start.selector;
        verbs[7] = Economy.claim.selector;
        verbs[8] = Economy.submit.selector;
        verbs[9] = Economy.audit.selector;
        verbs[10] = Economy.challenge.selector;
        verbs[11] = Economy.rule.selector;
        verbs[12] = Economy.settle.selector;
        verbs[13] = Economy.sweep.selector;
        verbs[14] = Economy.postMerge.selector;
        verbs[15] = Economy.challengeMerge.selector;
        verbs[16] = Economy.finishMerge.selector;
        verbs[17] = Economy.postRoot.selector;
        verbs[18] = Economy.finishRoot.selector;
        verbs[19] = Economy.claimReward.selector;
        verbs[20] = Economy.wait_.selector;
        verbs[21] = Economy.attack.selector;
        verbs[22] = Economy.campaign.selector;
        verbs[23] = Economy.toil.selector;
        verbs[24] = Economy.trial.selector;
        verbs[25] = Economy.reward.selector;
        (verbs[26], verbs[27]) = (verbs[23], verbs[2]);
        targetSelector(FuzzSelector(address(economy), verbs));
        targetContract(address(economy));
    }

    function invariant_books() public view {
        economy.books();
    }

    function afterInvariant() public {
        economy.everybodyLeaves();
    }
}
