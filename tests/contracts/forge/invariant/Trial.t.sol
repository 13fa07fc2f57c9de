// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Trial} from "./Trial.sol";

/// @notice Money is conserved, every dispute ends, and where most of the deciding panel is honest no honest client pays for a wrong answer and
/// no honest node or seat is slashed: see Trial, which checks it as each dispute ends.
contract TrialInvariants is Test {
    Trial private trial;
    uint256 private ledger;

    function setUp() public {
        trial = new Trial();
        trial.setUp();
        (,, ledger) = trial.books();
        bytes4[] memory verbs = new bytes4[](12);
        verbs[0] = Trial.ask.selector;
        verbs[1] = Trial.challengeFalsely.selector;
        verbs[2] = Trial.appealFalsely.selector;
        verbs[3] = Trial.conspire.selector;
        verbs[4] = Trial.revealFalsely.selector;
        verbs[5] = Trial.shuffleSeats.selector;
        verbs[6] = Trial.wait_.selector;
        verbs[7] = Trial.end.selector;
        // There must be much of these for disputes to go far.
        (verbs[8], verbs[9], verbs[10], verbs[11]) = (verbs[3], verbs[4], verbs[6], verbs[6]);
        targetSelector(FuzzSelector(address(trial), verbs));
        targetContract(address(trial));
    }

    /// @dev Fewer runs than by default: a call may be a whole panel's votes.
    /// forge-config: default.invariant.runs = 100
    /// forge-config: fuzz.invariant.runs = 10000
    function invariant_truth() public view {
        (uint256 held, uint256 locked, uint256 all) = trial.books();
        assertEq(trial.inCourt(), held, "the court holds what open disputes brought, to the unit");
        assertEq(trial.inEscrow(), locked, "the escrow holds what open jobs locked, to the unit");
        assertEq(all, ledger, "money is neither made nor lost");
    }

    function afterInvariant() public {
        trial.everythingEnds();
        (uint256 held, uint256 locked, uint256 all) = trial.books();
        assertEq(held + locked + trial.inCourt() + trial.inEscrow() + trial.reserved(), 0, "nothing stays");
        assertEq(all, ledger);
    }
}
