// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {INodeRegistry} from "./INodeRegistry.sol";

/// @notice A verifier's place in the court, for one model and, unless `bitClass` is 0, one bit class.
struct Seat {
    address node;
    /// What is left of the stake behind it, in token base units.
    uint72 stake;
    uint64 modelId;
    /// When the stake can be had back, in seconds; 0 while the seat has not been left.
    uint40 leavesAt;
    bytes32 bitClass;
}

/// @title ICourtSeats
/// @notice Seats of equal stake. The stake is provisioned to the court in NodeRegistry, for the seat's model, and reserved as long as
/// the seat can be drawn.
/// @dev Time runs in periods. A seat counts from the period after the one it was taken in, and a dispute draws from the
/// seats of the period before its own: a seat is between one and two periods old when it is first drawn, and nothing that
/// is done once a dispute can be foreseen moves its draw. Pools are named (modelId, bitClass) with 0 for "any": a seat sits in (0, 0), the
/// network's, in (modelId, 0), and with a class in (0, bitClass) and (modelId, bitClass).
interface ICourtSeats {
    event SeatTaken(
        uint32 indexed seat, address indexed node, uint64 indexed modelId, bytes32 bitClass, uint256 fromPeriod
    );
    /// By its node, or because it was fined (see SeatPunished).
    event SeatLeft(uint32 indexed seat, address indexed node, uint256 lastPeriod, uint256 leavesAt);
    event SeatPunished(uint32 indexed seat, address indexed node, uint256 taken);
    event SeatReleased(uint32 indexed seat, address indexed node, uint256 stake);

    error NotSeatsNode(address caller, address node);
    error UnknownSeat(uint32 seat);
    error ZeroModel();
    error SeatAlreadyLeft(uint32 seat, uint256 leavesAt);
    error SeatBound(uint32 seat, uint256 leavesAt, uint256 time);

    /// @notice Take a seat, by the node or its operator. Reserves the stake of a seat.
    /// @param bitClass What the node's machine was found to be; 0 when it judges by the tolerant rule alone.
    function takeSeat(address node, uint64 modelId, bytes32 bitClass) external returns (uint32 seat);

    /// @notice Leave a seat from the next period on, by the node or its operator. It can be drawn for a period more, and owes its duty and
    /// its stake until `leavesAt`.
    function leaveSeat(uint32 seat) external;

    /// @notice Free what is left of the stake of a seat whose time is over, by anyone.
    function releaseSeat(uint32 seat) external;

    function nodes() external view returns (INodeRegistry);

    /// @notice Stake of a seat, in token base units.
    function seatStake() external view returns (uint72);

    /// @notice The length of a period in seconds; period n starts at n times that.
    function periodLength() external view returns (uint40);
    function seatOf(uint32 seat) external view returns (Seat memory);

    /// @notice How many seats a pool has in `period`.
    function poolSize(uint64 modelId, bytes32 bitClass, uint256 period) external view returns (uint256);

    /// @notice Who sits at `place` of a pool in `period`.
    function poolSeat(uint64 modelId, bytes32 bitClass, uint256 place, uint256 period) external view returns (uint32);
}
