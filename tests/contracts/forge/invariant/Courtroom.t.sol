// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase} from "../court/CourtBase.t.sol";
import {Courtroom} from "./Courtroom.sol";

/// @notice What holds in the court whatever anybody does, in any order. More is checked around each verb: see Courtroom.
contract CourtroomInvariants is CourtBase {
    Courtroom private room;
    address[] private people;
    uint256 private ledger;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 6; ++i) {
            people.push(aJudge(i, modelId, 10));
        }
        fund(client, 1000e6);
        fund(funder, 1000e6);
        room = new Courtroom(dc, modelId, client, funder, people);
        ledger = sum();
        bytes4[] memory verbs = new bytes4[](14);
        verbs[0] = Courtroom.takeSeat.selector;
        verbs[1] = Courtroom.leaveSeat.selector;
        verbs[2] = Courtroom.releaseSeat.selector;
        verbs[3] = Courtroom.thaw.selector;
        verbs[4] = Courtroom.open.selector;
        verbs[5] = Courtroom.draw.selector;
        // Commits and reveals twice: there must be many.
        verbs[6] = Courtroom.commit.selector;
        verbs[7] = Courtroom.reveal.selector;
        verbs[8] = Courtroom.appeal.selector;
        verbs[9] = Courtroom.wait_.selector;
        (verbs[10], verbs[11]) = (verbs[6], verbs[7]);
        verbs[12] = Courtroom.draw.selector;
        verbs[13] = bytes4(keccak256("close(uint256)"));
        targetSelector(FuzzSelector(address(room), verbs));
        targetContract(address(room));
    }

    function sum() private view returns (uint256 total) {
        total = vault.balanceOf(address(dc)) + vault.balanceOf(address(registry)) + vault.balanceOf(BURNED);
        total += vault.balanceOf(client) + vault.balanceOf(funder);
        for (uint256 i = 0; i < people.length; ++i) {
            total += vault.balanceOf(people[i]);
        }
    }

    function invariant_books() public view {
        assertEq(vault.balanceOf(address(dc)), room.held(), "the court holds what open disputes brought, to the unit");
        assertEq(sum(), ledger, "money is neither made nor lost");
        (uint256[] memory stakes, uint256 sitting) = room.bound_();
        for (uint256 i = 0; i < people.length; ++i) {
            assertEq(registry.provisionOf(people[i], address(dc), modelId).reserved, stakes[i], "stake");
        }
        assertEq(dc.poolSize(0, 0, block.timestamp / PERIOD + 1), sitting, "seats");
        assertEq(dc.poolSize(modelId, 0, block.timestamp / PERIOD + 1), sitting, "seats of the model");
    }

    function afterInvariant() public {
        room.everybodyLeaves();
        assertEq(vault.balanceOf(address(dc)), 0, "emptied");
        for (uint256 i = 0; i < people.length; ++i) {
            assertEq(registry.provisionOf(people[i], address(dc), modelId).reserved, 0, "freed");
        }
    }
}
