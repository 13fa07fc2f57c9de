// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base} from "../Base.t.sol";
import {Market} from "./Market.sol";

/// @notice What holds whatever anybody does, in any order. More is checked around each verb: see Market.
contract MarketInvariants is Base {
    Market private market;

    function setUp() public override {
        super.setUp();
        vm.prank(trainer);
        (uint64 other,) = models.register("other", "O", MANIFEST, MODEL_FEE * 2, SUPPLY);
        // A market of its own: the fixture's people stay out of it.
        escrow = deployEscrow(defaultConfig());
        market = new Market(token, escrow, court, [modelId, other]);
        bytes4[] memory verbs = new bytes4[](14);
        verbs[0] = Market.money.selector;
        verbs[1] = Market.stakes.selector;
        verbs[2] = Market.open.selector;
        verbs[3] = Market.complete.selector;
        verbs[4] = Market.approve.selector;
        verbs[5] = Market.demand.selector;
        verbs[6] = Market.deliver.selector;
        verbs[7] = Market.challenge.selector;
        verbs[8] = Market.rule.selector;
        verbs[9] = Market.close.selector;
        verbs[10] = Market.finalizeAll.selector;
        verbs[11] = Market.pushFees.selector;
        verbs[12] = Market.wait_.selector;
        verbs[13] = Market.attack.selector;
        targetSelector(FuzzSelector(address(market), verbs));
        targetContract(address(market));
    }

    function invariant_books() public view {
        market.books();
    }

    function afterInvariant() public {
        market.everybodyLeaves();
    }
}
