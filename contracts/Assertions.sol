// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IAssertions, Assertion, AssertionTerms, Standing} from "./interfaces/IAssertions.sol";
import {ICourt} from "./interfaces/ICourt.sol";
import {IDisputable, Ruling} from "./interfaces/IDisputable.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Questions} from "./libraries/Questions.sol";
import {VaultClient} from "./libraries/VaultClient.sol";

/// @title Assertions
/// @notice See IAssertions, which is the specification.
abstract contract Assertions is VaultClient, IAssertions {
    using SafeCast for uint256;

    uint40 private constant MAX_WINDOW = 90 days;

    ICourt internal immutable _court;
    uint72 internal immutable _bond;
    uint16 private immutable _winnerShare;
    uint40 internal immutable _challengeWindow;
    uint40 internal immutable _disputeLimit;

    /// @inheritdoc IAssertions
    uint256 public assertionCount;
    mapping(uint256 id => Assertion) private _assertions;

    constructor(AssertionTerms memory t) {
        if (t.bond == 0) revert BadConfig("bond");
        if (t.winnerShare > Pricing.BASIS_POINTS / 2) revert BadConfig("winnerShare");
        if (t.challengeWindow == 0 || t.challengeWindow > MAX_WINDOW) revert BadConfig("challengeWindow");
        if (t.disputeLimit == 0 || t.disputeLimit > MAX_WINDOW) revert BadConfig("disputeLimit");
        if (address(t.court) != address(0)) {
            if (t.disputeLimit <= t.court.longest()) revert BadConfig("disputeLimit");
            // Being right must pay for all rounds.
            if (Pricing.share(t.bond, t.winnerShare) < t.court.highestCost()) revert BadConfig("bond");
        }
        _court = t.court;
        _bond = t.bond;
        _winnerShare = t.winnerShare;
        _challengeWindow = t.challengeWindow;
        _disputeLimit = t.disputeLimit;
    }

    /// @inheritdoc IDisputable
    function onRuling(bytes32 subject, Ruling ruling, uint256 courtFee) external {
        if (msg.sender != address(_court)) revert NotCourt(msg.sender);
        uint256 id = uint256(subject);
        Assertion storage a = _assertions[id];
        if (a.standing != Standing.Disputed || block.timestamp > a.until) return;
        if (ruling == Ruling.Upheld) a.standing = Standing.Upheld;
        else if (ruling == Ruling.Dismissed) a.standing = Standing.Dismissed;
        else a.standing = Standing.Undecided;
        a.courtFee = uint72(Math.min(courtFee, type(uint72).max));
        emit AssertionRuled(id, ruling);
    }

    /// @inheritdoc IAssertions
    function assertionOf(uint256 id) external view returns (Assertion memory) {
        return _assertions[id];
    }

    /// @inheritdoc IAssertions
    function assertionTerms() public view returns (AssertionTerms memory) {
        return AssertionTerms(_court, _bond, _winnerShare, _challengeWindow, _disputeLimit);
    }

    /// @param amount What came with it, which must be the bond.
    function _post(address poster, uint256 amount, bytes32 content) internal returns (uint256 id) {
        if (amount != _bond) revert WrongBond(amount, _bond);
        id = ++assertionCount;
        Assertion storage a = _assertions[id];
        (a.poster, a.until, a.standing) = (poster, _after(_challengeWindow), Standing.Posted);
        a.content = content;
    }

    /// @dev Puts the question to the court; its bond is `amount`.
    function _dispute(
        uint256 id,
        bytes32 content,
        address challenger,
        uint256 amount,
        Questions.Question memory q,
        bytes memory evidence
    ) internal {
        if (address(_court) == address(0)) revert NoCourt();
        Assertion storage a = _expect(id, content);
        if (a.standing != Standing.Posted) revert WrongStanding(id, a.standing);
        if (block.timestamp > a.until) revert WindowClosed(a.until, block.timestamp);
        uint40 limit = _after(_disputeLimit);
        (a.standing, a.until, a.challenger) = (Standing.Disputed, limit, challenger);
        emit AssertionChallenged(id, challenger, limit);
        (q.subject, q.challenger, q.author) = (bytes32(id), challenger, a.poster);
        Questions.ask(vault, _court, amount, q, evidence);
    }

    /// @dev Settles the bond of an assertion whose time has come.
    function _conclude(uint256 id, bytes32 content) internal returns (bool stands) {
        Assertion storage a = _expect(id, content);
        Standing s = a.standing;
        if (s == Standing.Settled) revert WrongStanding(id, s);
        if (s <= Standing.Disputed && block.timestamp <= a.until) revert TooEarly(a.until + 1, block.timestamp);
        a.standing = Standing.Settled;
        stands = s == Standing.Posted || s == Standing.Dismissed;
        if (s != Standing.Upheld) {
            emit AssertionSettled(id, stands, 0, 0, 0);
            vault.pay(a.poster, _bond);
            return stands;
        }
        uint256 won = Pricing.share(_bond, _winnerShare);
        uint256 toCourt = Math.min(a.courtFee, won);
        emit AssertionSettled(id, false, won - toCourt, toCourt, _bond - won);
        vault.pay(BURNED, _bond - won);
        vault.pay(a.challenger, won - toCourt);
        if (toCourt != 0) vault.pay(address(_court), toCourt);
    }

    function _expect(uint256 id, bytes32 content) private view returns (Assertion storage a) {
        a = _assertions[id];
        if (a.standing == Standing.None) revert WrongStanding(id, Standing.None);
        if (a.content != content) revert WrongContent(id, content, a.content);
    }

    function _after(uint40 window) internal view returns (uint40) {
        return (block.timestamp + window).toUint40();
    }
}
