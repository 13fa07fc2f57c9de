// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ICourtSeats, Seat} from "./interfaces/ICourtSeats.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Pool, Sortition} from "./libraries/Sortition.sol";

/// @title CourtSeats
/// @notice See ICourtSeats, which is the specification.
abstract contract CourtSeats is ICourtSeats {
    using SafeCast for uint256;
    using Sortition for Pool;

    /// @dev The pool of all seats; the first one made.
    uint32 internal constant NETWORK = 1;

    /// @inheritdoc ICourtSeats
    INodeRegistry public immutable nodes;
    /// @inheritdoc ICourtSeats
    uint72 public immutable seatStake;
    /// @inheritdoc ICourtSeats
    uint40 public immutable periodLength;

    mapping(uint32 pool => Pool) internal _pools;
    mapping(uint64 modelId => mapping(bytes32 bitClass => uint32 pool)) private _poolOf;
    uint32 private _lastPool = NETWORK;
    uint32 private _lastSeat;
    mapping(uint32 seat => Seat) internal _seats;
    /// @dev Where a seat sits now, in each pool that it belongs to.
    mapping(uint32 seat => mapping(uint32 pool => uint256 place)) private _placeOf;

    constructor(INodeRegistry nodes_, uint72 seatStake_, uint40 periodLength_) {
        nodes = nodes_;
        seatStake = seatStake_;
        periodLength = periodLength_;
        _poolOf[0][0] = NETWORK;
    }

    /// @inheritdoc ICourtSeats
    function takeSeat(address node, uint64 modelId, bytes32 bitClass) external returns (uint32 seat) {
        _onlyFor(node);
        if (modelId == 0) revert ZeroModel();
        seat = ++_lastSeat;
        _seats[seat] = Seat(node, seatStake, modelId, 0, bitClass);
        uint256 from = _period() + 1;
        uint32[] memory pools = _poolsFor(modelId, bitClass);
        for (uint256 i = 0; i < pools.length; ++i) {
            _placeOf[seat][pools[i]] = _pools[pools[i]].add(seat, from);
        }
        emit SeatTaken(seat, node, modelId, bitClass, from);
        nodes.reserve(node, modelId, seatStake);
    }

    /// @inheritdoc ICourtSeats
    function leaveSeat(uint32 seat) external {
        Seat storage s = _seats[seat];
        if (s.node == address(0)) revert UnknownSeat(seat);
        _onlyFor(s.node);
        if (s.leavesAt != 0) revert SeatAlreadyLeft(seat, s.leavesAt);
        _leave(seat, s);
    }

    /// @inheritdoc ICourtSeats
    function releaseSeat(uint32 seat) external {
        Seat storage s = _seats[seat];
        if (s.node == address(0)) revert UnknownSeat(seat);
        uint256 leavesAt = s.leavesAt;
        if (leavesAt == 0 || block.timestamp <= leavesAt) revert SeatBound(seat, leavesAt, block.timestamp);
        uint256 stake = s.stake;
        s.stake = 0;
        emit SeatReleased(seat, s.node, stake);
        nodes.release(s.node, s.modelId, stake);
    }

    /// @inheritdoc ICourtSeats
    function seatOf(uint32 seat) external view returns (Seat memory) {
        return _seats[seat];
    }

    /// @inheritdoc ICourtSeats
    function poolSize(uint64 modelId, bytes32 bitClass, uint256 period) external view returns (uint256) {
        return _pools[_poolOf[modelId][bitClass]].sizeAt(period);
    }

    /// @inheritdoc ICourtSeats
    function poolSeat(uint64 modelId, bytes32 bitClass, uint256 place, uint256 period) external view returns (uint32) {
        return _pools[_poolOf[modelId][bitClass]].seatAt(place, period).toUint32();
    }

    /// @dev How long after the last period it can be drawn in a seat may still be at work.
    function _longestDuty() internal view virtual returns (uint256);

    /// @dev Takes up to `amount` of what is behind a seat, and the seat from its node: all that are drawn have the same stake.
    function _punish(uint32 seat, uint256 amount) internal returns (uint256 taken) {
        Seat storage s = _seats[seat];
        uint256 owed = Math.min(amount, s.stake);
        s.stake = (s.stake - owed).toUint72();
        if (s.leavesAt == 0) _leave(seat, s);
        taken = nodes.slash(s.node, s.modelId, owed);
        emit SeatPunished(seat, s.node, taken);
    }

    /// @dev Zero when no seat was ever taken there.
    function _poolNamed(uint64 modelId, bytes32 bitClass) internal view returns (uint32) {
        return _poolOf[modelId][bitClass];
    }

    function _sizeAt(uint32 pool, uint256 period) internal view returns (uint256) {
        return _pools[pool].sizeAt(period);
    }

    function _period() internal view returns (uint256) {
        return block.timestamp / periodLength;
    }

    function _onlyFor(address node) internal view {
        if (msg.sender != node && msg.sender != nodes.operatorOf(node)) revert NotSeatsNode(msg.sender, node);
    }

    function _leave(uint32 seat, Seat storage s) private {
        uint256 period = _period();
        // Drawn last by disputes of the next period; a period more is the margin for whoever settles them.
        uint256 leavesAt = (period + 3) * periodLength + _longestDuty();
        s.leavesAt = leavesAt.toUint40();
        uint32[] memory pools = _poolsFor(s.modelId, s.bitClass);
        for (uint256 i = 0; i < pools.length; ++i) {
            uint256 place = _placeOf[seat][pools[i]];
            uint256 moved = _pools[pools[i]].remove(place, period + 1);
            _placeOf[moved.toUint32()][pools[i]] = place;
        }
        emit SeatLeft(seat, s.node, period + 1, leavesAt);
    }

    /// @dev The two or four pools of such a seat, made when they are new.
    function _poolsFor(uint64 modelId, bytes32 bitClass) private returns (uint32[] memory pools) {
        pools = new uint32[](bitClass == 0 ? 2 : 4);
        for (uint256 i = 0; i < pools.length; ++i) {
            pools[i] = _poolFor(i & 1 == 0 ? 0 : modelId, i < 2 ? bytes32(0) : bitClass);
        }
    }

    function _poolFor(uint64 modelId, bytes32 bitClass) private returns (uint32 pool) {
        pool = _poolOf[modelId][bitClass];
        if (pool != 0) return pool;
        pool = ++_lastPool;
        _poolOf[modelId][bitClass] = pool;
    }
}
