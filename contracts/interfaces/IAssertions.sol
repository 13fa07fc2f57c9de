// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICourt} from "./ICourt.sol";
import {IDisputable, Ruling} from "./IDisputable.sol";

/// @notice On what terms something may be asserted. Amounts in token base units, times in seconds.
struct AssertionTerms {
    /// Zero until there is a court: a challenge then reverts.
    ICourt court;
    /// Locked by whoever asserts; lost when a challenge is upheld.
    uint72 bond;
    /// The challenger's part of a lost bond in basis points, at most 5,000; the rest is burned.
    uint16 winnerShare;
    uint40 challengeWindow;
    /// After this long without a ruling a dispute ends undecided. Longer than the court can take.
    uint40 disputeLimit;
}

/// @notice How far an assertion has come. Upheld: the challenge was, so the assertion is wrong.
enum Standing {
    None,
    Posted,
    Disputed,
    Upheld,
    Dismissed,
    Undecided,
    Settled
}

/// @notice Something that anybody can compute from public data, said under bond. It is named by a number; `content` is the hash of what is said,
/// and whoever acts on it brings that along.
struct Assertion {
    address poster;
    /// End of the challenge window; once Disputed, of the wait for a ruling.
    uint40 until;
    Standing standing;
    address challenger;
    /// What the court asked for with its ruling.
    uint72 courtFee;
    bytes32 content;
}

/// @title IAssertions
/// @notice Bonded assertions: post, challenge once, settle. It stands when its window passed unchallenged or when the challenge was dismissed;
/// it falls when the challenge was upheld (the bond goes, in part to the challenger, the rest is burned) or when nothing was decided (the
/// bond comes back). Any number can wait side by side, also about the same thing, so that nobody holds a place that another needs.
interface IAssertions is IDisputable {
    event AssertionChallenged(uint256 indexed id, address indexed challenger, uint256 limit);
    event AssertionRuled(uint256 indexed id, Ruling ruling);
    event AssertionSettled(uint256 indexed id, bool stands, uint256 toChallenger, uint256 toCourt, uint256 burned);

    error NotCourt(address caller);
    error NoCourt();
    error BadConfig(string field);
    error WrongBond(uint256 amount, uint256 bond);
    error WrongContent(uint256 id, bytes32 found, bytes32 expected);
    error WrongStanding(uint256 id, Standing standing);
    error WindowClosed(uint256 until, uint256 time);
    error TooEarly(uint256 from, uint256 time);

    function assertionTerms() external view returns (AssertionTerms memory);
    function assertionOf(uint256 id) external view returns (Assertion memory);

    /// @notice How many have been posted; the last one's id.
    function assertionCount() external view returns (uint256);
}
