// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IRandomness
/// @notice A value that nobody knew when it was asked for. A request can't be made again to get another one.
interface IRandomness {
    error NotYet(uint64 ticket, uint256 blockNumber);
    error Missed(uint64 ticket, uint256 blockNumber);

    /// @notice Fix what will be read, before anybody can know it.
    function request() external returns (uint64 ticket);

    /// @notice The value of a request; reverts with NotYet or Missed when there is none to read.
    function read(uint64 ticket) external view returns (bytes32);
}
