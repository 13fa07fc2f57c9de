// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollectorBase} from "../collector/CollectorBase.t.sol";
import {Tollhouse} from "./Tollhouse.sol";

/// @notice What holds of channels whatever anybody does, in any order. More is checked around each verb: see Tollhouse.
contract TollhouseInvariants is CollectorBase {
    Tollhouse private tollhouse;

    function setUp() public override {
        super.setUp();
        vm.prank(trainer);
        (uint64 other,) = models.register("other", "O", MANIFEST, MODEL_FEE * 20, SUPPLY);
        collector = deployCollector(collectorConfig());
        tollhouse = new Tollhouse(token, collector, court, [modelId, other], [MODEL_FEE, MODEL_FEE * 20]);
        bytes4[] memory verbs = new bytes4[](14);
        verbs[0] = Tollhouse.open.selector;
        verbs[1] = Tollhouse.topUp.selector;
        verbs[2] = Tollhouse.collect.selector;
        verbs[3] = Tollhouse.collect.selector;
        verbs[4] = Tollhouse.release.selector;
        verbs[5] = Tollhouse.exit.selector;
        verbs[6] = Tollhouse.close.selector;
        verbs[7] = Tollhouse.challenge.selector;
        verbs[8] = Tollhouse.rule.selector;
        verbs[9] = Tollhouse.closeDispute.selector;
        verbs[10] = Tollhouse.pushFees.selector;
        verbs[11] = Tollhouse.changeOperator.selector;
        verbs[12] = Tollhouse.wait_.selector;
        verbs[13] = Tollhouse.attack.selector;
        targetSelector(FuzzSelector(address(tollhouse), verbs));
        targetContract(address(tollhouse));
    }

    function invariant_books() public view {
        tollhouse.books();
    }

    function afterInvariant() public {
        tollhouse.everybodyLeaves();
    }
}
