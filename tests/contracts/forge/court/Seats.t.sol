// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {ICourtSeats, Seat} from "contracts/interfaces/ICourtSeats.sol";
import {CourtBase} from "./CourtBase.t.sol";

contract SeatsTest is CourtBase {
    function now_() private view returns (uint256) {
        return block.timestamp / PERIOD;
    }

    function reservedAtCourt(address account) private view returns (uint256) {
        return registry.provisionOf(account, address(dc), modelId).reserved;
    }

    function test_takesASeatFromTheNextPeriod() public {
        address account = aJudge(1, modelId, 1);
        vm.expectEmit(address(dc));
        emit ICourtSeats.SeatTaken(1, account, modelId, CLASS, now_() + 1);
        uint32 seat = take(account, modelId, CLASS);
        assertEq(reservedAtCourt(account), SEAT_STAKE);
        Seat memory s = dc.seatOf(seat);
        assertEq(s.node, account);
        assertEq(s.stake, SEAT_STAKE);
        assertEq(s.modelId, modelId);
        assertEq(s.bitClass, CLASS);
        assertEq(s.leavesAt, 0);
        uint64[4] memory ids = [uint64(0), modelId, 0, modelId];
        bytes32[4] memory classes = [bytes32(0), 0, CLASS, CLASS];
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(dc.poolSize(ids[i], classes[i], now_()), 0);
            assertEq(dc.poolSize(ids[i], classes[i], now_() + 1), 1);
            assertEq(dc.poolSeat(ids[i], classes[i], 0, now_() + 1), seat);
        }
        assertEq(dc.poolSize(modelId, keccak256("other"), now_() + 1), 0);
    }

    function test_aTolerantSeatIsInNoClass() public {
        take(aJudge(1, modelId, 1), modelId, 0);
        assertEq(dc.poolSize(0, 0, now_() + 1), 1);
        assertEq(dc.poolSize(modelId, 0, now_() + 1), 1);
        assertEq(dc.poolSize(0, CLASS, now_() + 1), 0);
    }

    function test_theOperatorMayTakeAndLeave() public {
        vm.prank(node);
        registry.provision(address(dc), modelId, SEAT_STAKE);
        vm.prank(operator);
        uint32 seat = dc.takeSeat(node, modelId, 0);
        vm.prank(operator);
        dc.leaveSeat(seat);
    }

    function test_onlyItsNode() public {
        address account = aJudge(1, modelId, 1);
        bytes memory error = abi.encodeWithSelector(ICourtSeats.NotSeatsNode.selector, stranger, account);
        vm.prank(stranger);
        vm.expectRevert(error);
        dc.takeSeat(account, modelId, 0);
        uint32 seat = take(account, modelId, 0);
        vm.prank(stranger);
        vm.expectRevert(error);
        dc.leaveSeat(seat);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.UnknownSeat.selector, 9));
        dc.leaveSeat(9);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.UnknownSeat.selector, 9));
        dc.releaseSeat(9);
        vm.prank(address(0));
        vm.expectRevert();
        dc.takeSeat(address(0), modelId, 0);
    }

    function test_noSeatWithoutStake() public {
        address account = aJudge(1, modelId, 1);
        take(account, modelId, 0);
        vm.prank(account);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InsufficientProvision.selector, account, dc, modelId, 0, SEAT_STAKE)
        );
        dc.takeSeat(account, modelId, 0);
        vm.prank(account);
        vm.expectRevert(ICourtSeats.ZeroModel.selector);
        dc.takeSeat(account, 0, 0);
    }

    function test_stakeCannotThawAway() public {
        address account = aJudge(1, modelId, 1);
        uint32 seat = take(account, modelId, 0);
        vm.startPrank(account);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InsufficientProvision.selector, account, dc, modelId, 0, SEAT_STAKE)
        );
        registry.thaw(address(dc), modelId, SEAT_STAKE);
        dc.leaveSeat(seat);
        uint256 leavesAt = dc.seatOf(seat).leavesAt;
        // Drawn for the last time by disputes of the next period, which take no longer than that.
        assertGe(leavesAt, (now_() + 2) * PERIOD + dc.longest());
        vm.expectRevert();
        registry.thaw(address(dc), modelId, SEAT_STAKE);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.SeatBound.selector, seat, leavesAt, block.timestamp));
        dc.releaseSeat(seat);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.SeatAlreadyLeft.selector, seat, leavesAt));
        dc.leaveSeat(seat);
        vm.warp(leavesAt + 1);
        dc.releaseSeat(seat);
        dc.releaseSeat(seat);
        assertEq(reservedAtCourt(account), 0);
        registry.thaw(address(dc), modelId, SEAT_STAKE);
        vm.stopPrank();
    }

    function test_releaseTwiceFreesOnce() public {
        address account = aJudge(1, modelId, 2);
        uint32 seat = take(account, modelId, 0);
        take(account, modelId, 0);
        vm.prank(account);
        dc.leaveSeat(seat);
        vm.warp(dc.seatOf(seat).leavesAt + 1);
        dc.releaseSeat(seat);
        dc.releaseSeat(seat);
        assertEq(reservedAtCourt(account), SEAT_STAKE);
    }

    function test_aSeatStillBoundIsNotReleased() public {
        uint32 seat = take(aJudge(1, modelId, 1), modelId, 0);
        vm.warp(block.timestamp + 3650 days);
        vm.expectRevert(abi.encodeWithSelector(ICourtSeats.SeatBound.selector, seat, 0, block.timestamp));
        dc.releaseSeat(seat);
    }

    /// @dev Against a list kept by hand: any order of taking and leaving, and every past period reads as it was.
    /// Fewer runs than by default: one is 24 periods of taking and leaving, and takes 25 ms.
    /// forge-config: default.fuzz.runs = 300
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_poolsAgainstAList(uint256 seed) public {
        for (uint256 i = 0; i < 4; ++i) {
            aJudge(i, modelId, 10);
        }
        uint32[] memory sitting = new uint32[](64);
        uint256 count;
        uint256[] memory sums = new uint256[](24);
        uint256[] memory sizes = new uint256[](24);
        uint256 start = now_();
        for (uint256 step = 0; step < 24; ++step) {
            for (uint256 k = 0; k < 2; ++k) {
                seed = uint256(keccak256(abi.encode(seed)));
                if (seed % 3 != 0 && count < 20) {
                    uint256 who = seed / 3 % 4;
                    if (registry.provisionOf(judges[who], address(dc), modelId).reserved == 10 * SEAT_STAKE) continue;
                    sitting[count++] = take(judges[who], modelId, seed & 64 == 0 ? bytes32(0) : CLASS);
                } else if (count != 0) {
                    uint256 at = seed / 3 % count;
                    vm.prank(dc.seatOf(sitting[at]).node);
                    dc.leaveSeat(sitting[at]);
                    sitting[at] = sitting[--count];
                }
            }
            sizes[step] = count;
            for (uint256 i = 0; i < count; ++i) {
                sums[step] += uint256(1) << sitting[i];
            }
            vm.warp(block.timestamp + PERIOD);
        }
        for (uint256 step = 0; step < 24; ++step) {
            uint256 period = start + step + 1;
            assertEq(dc.poolSize(modelId, 0, period), sizes[step], "size");
            uint256 sum;
            uint256 inClass;
            for (uint256 i = 0; i < sizes[step]; ++i) {
                uint32 seat = dc.poolSeat(modelId, 0, i, period);
                sum += uint256(1) << seat;
                if (dc.seatOf(seat).bitClass == CLASS) ++inClass;
            }
            assertEq(sum, sums[step], "the same seats, each once");
            assertEq(dc.poolSize(modelId, CLASS, period), inClass, "class");
            assertEq(dc.poolSize(0, 0, period), sizes[step], "network");
        }
    }
}
