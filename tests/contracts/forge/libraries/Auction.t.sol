// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Auction} from "contracts/libraries/Auction.sol";

contract AuctionTest is Test {
    function test_risesEvenlyAndStops() public pure {
        assertEq(Auction.price(0, 90, 0, 30), 0);
        assertEq(Auction.price(0, 90, 10, 30), 30);
        assertEq(Auction.price(0, 90, 30, 30), 90);
        assertEq(Auction.price(0, 90, 31, 30), 90);
        assertEq(Auction.price(40, 90, 10, 30), 70);
        assertEq(Auction.price(80, 90, 10, 30), 90);
    }

    function test_stakeOfTheManual() public pure {
        assertEq(Auction.stake(18e6, 10, 2), 144e6);
        assertEq(Auction.stake(18e6, 2, 2), 0);
    }

    function testFuzz_neverFallsAndNeverAboveTheMost(uint256 base, uint256 most, uint256 a, uint256 b, uint256 rise)
        public
        pure
    {
        most = bound(most, 0, type(uint72).max);
        base = bound(base, 0, most);
        rise = bound(rise, 1, 90 days);
        (a, b) = (bound(a, 0, 1000 days), bound(b, 0, 1000 days));
        (uint256 early, uint256 late) = a < b ? (a, b) : (b, a);
        uint256 first = Auction.price(base, most, early, rise);
        assertGe(first, base);
        assertLe(first, Auction.price(base, most, late, rise));
        assertLe(Auction.price(base, most, late, rise), most);
    }

    /// @dev With this stake, cheating in one segment loses on average at least what it could gain: p·S >= 2·(1 − p)·R.
    function testFuzz_cheatingLoses(uint256 reward, uint256 segments, uint256 repeated) public pure {
        reward = bound(reward, 0, type(uint72).max);
        segments = bound(segments, 1, 256);
        repeated = bound(repeated, 1, segments);
        uint256 stake = Auction.stake(reward, segments, repeated);
        assertGe(repeated * stake, 2 * (segments - repeated) * reward);
        if (stake != 0) assertLt(repeated * (stake - 1), 2 * (segments - repeated) * reward);
    }
}
