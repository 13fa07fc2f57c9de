// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice What a court found. Undecided: it could not find out; nobody is punished.
enum Ruling {
    None,
    Upheld,
    Dismissed,
    Undecided
}

/// @title IDisputable
/// @notice A contract whose obligations can be disputed. The court asks nothing of it but to obey.
interface IDisputable {
    /// @notice Called once by the court. Must record the ruling and do nothing that can fail; ignores
    /// one that comes after its own limit.
    /// @param subject What was disputed, as given to the court.
    /// @param courtFee What the court asks for of the penalty of an upheld dispute, in token base units; the obeying contract pays
    /// it, within the winner's share, to the court's ledger account when the dispute is closed.
    function onRuling(bytes32 subject, Ruling ruling, uint256 courtFee) external;
}
