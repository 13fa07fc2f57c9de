// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {CourtSeats} from "./CourtSeats.sol";
import {ICourt, Case} from "./interfaces/ICourt.sol";
import {Ruling} from "./interfaces/IDisputable.sol";
import {IDisputeCourt, CourtConfig, Phase, Vote} from "./interfaces/IDisputeCourt.sol";
import {IRandomness} from "./interfaces/IRandomness.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Progress, Round, Rounds} from "./libraries/Rounds.sol";
import {Sortition} from "./libraries/Sortition.sol";
import {VaultClient} from "./libraries/VaultClient.sol";
import {Witness} from "./libraries/Witness.sol";

/// @title CourtRounds
/// @notice A court's terms, its clock and its ballots; no money moves here. See IDisputeCourt, which is the specification.
abstract contract CourtRounds is IDisputeCourt, CourtSeats, VaultClient {
    using SafeCast for uint256;
    using Rounds for Round;
    using Rounds for uint256;

    struct Dispute {
        /// @dev See Rounds.
        uint256[2] rounds;
        address funder;
        /// @dev Eight seats to a word, two words to a round.
        uint256[4] panels;
        /// @dev Commitments, then witnesses; 16 to a round.
        mapping(uint256 ballot => bytes32) ballots;
    }

    uint256 internal constant MAX_TOKENS = 16_384;
    uint256 internal constant BYTES_PER_TOKEN = 4;
    uint256 internal constant BALLOTS = 16;
    uint256 internal constant SEATS = 8;
    uint256 private constant MAX_PANEL = 15;
    uint40 private constant MAX_WINDOW = 30 days;

    /// @inheritdoc ICourt
    uint256 public immutable highestCost;
    /// @inheritdoc ICourt
    /// @dev A draw's window more than the rounds take, for the one transaction that announces the ruling.
    uint40 public immutable longest;

    IRandomness private immutable _randomness;
    uint72 internal immutable _silentFine;
    uint64 private immutable _seatFee;
    uint64 private immutable _seatFeePerToken;
    uint64 internal immutable _nodeFee;
    uint16 internal immutable _appealShare;
    uint8 internal immutable _firstSeats;
    uint8 internal immutable _appealSeats;
    uint8 private immutable _appealQuorum;
    uint40 private immutable _drawWindow;
    uint40 private immutable _commitWindow;
    uint40 private immutable _revealWindow;
    uint40 private immutable _appealWindow;

    mapping(bytes32 id => Dispute) internal _disputes;

    constructor(CourtConfig memory c) CourtSeats(c.nodes, c.seatStake, c.period) VaultClient(c.vault) {
        if (c.nodes.vault() != c.vault) revert BadConfig("nodes");
        if (c.firstSeats < 3 || c.firstSeats % 2 == 0) revert BadConfig("firstSeats");
        if (c.appealSeats < c.firstSeats || c.appealSeats > MAX_PANEL || c.appealSeats % 2 == 0) {
            revert BadConfig("appealSeats");
        }
        // Never fewer than decide a first round, never more than would let a few silent seats prevent a decision.
        if (c.appealQuorum <= c.firstSeats / 2 || c.appealQuorum > c.appealSeats / 2 + 1) {
            revert BadConfig("appealQuorum");
        }
        if (c.appealShare > Pricing.BASIS_POINTS / 2) revert BadConfig("appealShare");
        if (c.period == 0 || c.period > MAX_WINDOW) revert BadConfig("period");
        _checkWindow(c.drawWindow, "drawWindow");
        _checkWindow(c.commitWindow, "commitWindow");
        _checkWindow(c.revealWindow, "revealWindow");
        _checkWindow(c.appealWindow, "appealWindow");
        _randomness = c.randomness;
        _silentFine = c.silentFine;
        _seatFee = c.seatFee;
        _seatFeePerToken = c.seatFeePerToken;
        _nodeFee = c.nodeFee;
        _appealShare = c.appealShare;
        _firstSeats = c.firstSeats;
        _appealSeats = c.appealSeats;
        _appealQuorum = c.appealQuorum;
        _drawWindow = c.drawWindow;
        _commitWindow = c.commitWindow;
        _revealWindow = c.revealWindow;
        _appealWindow = c.appealWindow;
        longest = 3 * c.drawWindow + 2 * (c.commitWindow + c.revealWindow) + c.appealWindow;
        // Silence must cost more than the fee that a vote in the minority misses.
        uint256 fee = c.seatFee + MAX_TOKENS * c.seatFeePerToken;
        highestCost = (uint256(c.firstSeats) + c.appealSeats) * fee + c.nodeFee;
        if (c.silentFine <= fee || c.silentFine > c.seatStake) revert BadConfig("silentFine");
        // The smallest majority that can be overturned must make its appeal worth half as much again as it cost.
        uint256 reward = Pricing.share((uint256(c.firstSeats) / 2 + 1) * c.seatStake, c.appealShare);
        if (2 * reward < 3 * c.appealSeats * fee) revert BadConfig("seatStake");
    }

    /// @inheritdoc IDisputeCourt
    function draw(bytes32 id) external {
        (Dispute storage d, uint256 n, Round memory r, Phase phase) = _current(id);
        if (phase != Phase.Drawing) revert WrongPhase(id, phase);
        _draw(id, d, n, r);
        d.rounds[n] = r.pack();
    }

    /// @inheritdoc IDisputeCourt
    function commit(bytes32 id, uint256 index, bytes32 commitment) external {
        (Dispute storage d, uint256 n, Round memory r, Phase phase) = _current(id);
        if (phase == Phase.Drawing) _draw(id, d, n, r);
        else if (phase != Phase.Committing) revert WrongPhase(id, phase);
        uint256 bit = _bit(index, n);
        _onlyFor(_seats[_seatIn(d, n, index)].node);
        if (r.committed & bit != 0) revert AlreadyCommitted(id, n, index);
        r.committed |= bit;
        d.rounds[n] = r.pack();
        d.ballots[n * BALLOTS + index] = commitment;
        emit VoteCommitted(id, n * BALLOTS + index);
    }

    /// @inheritdoc IDisputeCourt
    function reveal(bytes32 id, uint256 index, Vote vote, bytes32 witness, bytes32 salt) external {
        (Dispute storage d, uint256 n, Round memory r, Phase phase) = _current(id);
        if (phase != Phase.Revealing) revert WrongPhase(id, phase);
        uint256 bit = _bit(index, n);
        if (r.committed & bit == 0) revert NotCommitted(id, n, index);
        if (r.revealed & bit != 0) revert AlreadyRevealed(id, n, index);
        bytes32 expected = d.ballots[n * BALLOTS + index];
        bytes32 found = commitmentOf(id, n, index, msg.sender, vote, witness, salt);
        if (found != expected || vote == Vote.None) revert WrongReveal(found, expected);
        r.revealed |= bit;
        if (vote == Vote.Upheld) r.upheld |= bit;
        else if (vote == Vote.Dismissed) r.dismissed |= bit;
        if (r.revealed == r.committed) (r.progress, r.time) = (Progress.Done, block.timestamp);
        d.rounds[n] = r.pack();
        d.ballots[n * BALLOTS + index] = witness;
        emit VoteRevealed(id, n * BALLOTS + index, vote, witness);
    }

    /// @inheritdoc IDisputeCourt
    function config() external view returns (CourtConfig memory) {
        return CourtConfig({
            vault: vault,
            nodes: nodes,
            randomness: _randomness,
            seatStake: seatStake,
            silentFine: _silentFine,
            seatFee: _seatFee,
            seatFeePerToken: _seatFeePerToken,
            nodeFee: _nodeFee,
            appealShare: _appealShare,
            firstSeats: _firstSeats,
            appealSeats: _appealSeats,
            appealQuorum: _appealQuorum,
            period: periodLength,
            drawWindow: _drawWindow,
            commitWindow: _commitWindow,
            revealWindow: _revealWindow,
            appealWindow: _appealWindow
        });
    }

    /// @inheritdoc IDisputeCourt
    function phaseOf(bytes32 id) public view returns (Phase phase, uint256 round, uint256 until) {
        Round memory r;
        (, round, r) = _last(id);
        if (r.progress == Progress.None) return (Phase.None, 0, 0);
        (phase, until) = _stage(r, round);
        if (phase != Phase.Final) return (phase, round, until);
        // A first round that was held can be appealed.
        if (round == 0 && r.progress != Progress.Requested && r.flags & Rounds.APPEALABLE != 0) {
            until += _appealWindow;
            if (block.timestamp <= until) return (Phase.Appealable, 0, until);
        }
        return (Phase.Final, round, 0);
    }

    /// @inheritdoc IDisputeCourt
    function rulingOf(bytes32 id) public view returns (Ruling) {
        (Dispute storage d, uint256 n, Round memory r) = _last(id);
        if (r.progress == Progress.None) return Ruling.None;
        // An appeal that nobody had drawn in time changes nothing.
        if (n == 1 && r.progress == Progress.Requested) (n, r) = (0, d.rounds[0].unpack());
        return _verdict(r, n);
    }

    /// @inheritdoc IDisputeCourt
    function roundOf(bytes32 id, uint256 round) external view returns (Round memory) {
        return _disputes[id].rounds[round].unpack();
    }

    /// @inheritdoc IDisputeCourt
    function panelOf(bytes32 id, uint256 round)
        external
        view
        returns (uint64 lot, uint32[] memory seats, address[] memory members)
    {
        Round memory r = _disputes[id].rounds[round].unpack();
        if (r.progress == Progress.Requested) {
            (lot, seats) = _panel(id, r, round);
        } else {
            lot = uint64(r.lot);
            seats = new uint32[](_size(round));
            for (uint256 i = 0; i < seats.length; ++i) {
                seats[i] = _seatIn(_disputes[id], round, i);
            }
        }
        members = new address[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            members[i] = _seats[seats[i]].node;
        }
    }

    /// @inheritdoc IDisputeCourt
    function witnessPositions(uint64 lot, uint256 tokens) external pure returns (uint256[] memory) {
        return Witness.positions(lot, tokens);
    }

    /// @inheritdoc IDisputeCourt
    /// @dev Members with dirty high bits revert, so that what verifiers decode is what was meant.
    function disputeId(address opener, Case calldata case_) public pure returns (bytes32) {
        return keccak256(abi.encode(opener, case_));
    }

    /// @inheritdoc IDisputeCourt
    function commitmentOf(
        bytes32 id,
        uint256 round,
        uint256 index,
        address voter,
        Vote vote,
        bytes32 witness,
        bytes32 salt
    ) public view returns (bytes32) {
        return keccak256(
            abi.encode(block.chainid, address(this), id, round, index, voter, uint256(vote), witness, salt)
        );
    }

    /// @inheritdoc IDisputeCourt
    function feeFor(uint256 tokens) public view returns (uint256) {
        return _seatFee + tokens * _seatFeePerToken;
    }

    /// @inheritdoc ICourt
    function bondFor(uint256 tokens) public view returns (uint256) {
        return _firstSeats * feeFor(tokens) + _nodeFee;
    }

    /// @inheritdoc IDisputeCourt
    function appealCost(uint256 tokens) public view returns (uint256) {
        return _appealSeats * feeFor(tokens);
    }

    /// @dev The caller stores `r`.
    function _request(Round memory r) internal returns (uint64 ticket) {
        ticket = _randomness.request();
        (r.progress, r.time, r.lot) = (Progress.Requested, block.timestamp.toUint40(), ticket);
    }

    /// @dev The caller stores `r`.
    function _draw(bytes32 id, Dispute storage d, uint256 n, Round memory r) private {
        uint32[] memory seats;
        uint64 lot;
        (lot, seats) = _panel(id, r, n);
        (r.progress, r.time, r.lot) = (Progress.Drawn, block.timestamp.toUint40(), lot);
        uint256 word = 0;
        for (uint256 i = seats.length; i != 0; --i) {
            word = word << 32 | seats[i - 1];
            if ((i - 1) % SEATS != 0) continue;
            d.panels[2 * n + (i - 1) / SEATS] = word;
            word = 0;
        }
        emit PanelDrawn(id, n, lot, seats);
    }

    /// @dev The panel as the request's randomness draws it from the pool of the round's period.
    function _panel(bytes32 id, Round memory r, uint256 n) private view returns (uint64 lot, uint32[] memory seats) {
        bytes32 seed = keccak256(abi.encode(_randomness.read(uint64(r.lot)), id, n));
        lot = uint64(uint256(seed));
        uint256[] memory places = Sortition.pick(seed, _sizeAt(uint32(r.pool), r.period), _size(n));
        seats = new uint32[](places.length);
        for (uint256 i = 0; i < places.length; ++i) {
            seats[i] = uint32(Sortition.seatAt(_pools[uint32(r.pool)], places[i], r.period));
        }
    }

    /// @dev The round that runs or ran last, and its own phase.
    function _current(bytes32 id) private view returns (Dispute storage d, uint256 n, Round memory r, Phase phase) {
        (d, n, r) = _last(id);
        if (r.progress == Progress.None) revert UnknownCase(id);
        (phase,) = _stage(r, n);
    }

    function _last(bytes32 id) internal view returns (Dispute storage d, uint256 n, Round memory r) {
        d = _disputes[id];
        uint256 word = d.rounds[0];
        if (word & Rounds.APPEALED << Rounds.FLAGS != 0) (n, word) = (1, d.rounds[1]);
        r = word.unpack();
    }

    /// @dev A round by itself: Final when it is over, and then `until` says when it was.
    function _stage(Round memory r, uint256 n) private view returns (Phase phase, uint256 until) {
        until = r.time;
        if (r.progress == Progress.Done) return (Phase.Final, until);
        // Bound: a time and two windows, of 40 bits each.
        unchecked {
            if (r.progress == Progress.Requested) {
                until += _drawWindow;
                return (block.timestamp <= until ? Phase.Drawing : Phase.Final, until);
            }
            until += _commitWindow;
            if (r.committed != (1 << _size(n)) - 1) {
                if (block.timestamp <= until) return (Phase.Committing, until);
                if (r.committed == 0) return (Phase.Final, until);
            }
            until += _revealWindow;
        }
        return (block.timestamp <= until ? Phase.Revealing : Phase.Final, until);
    }

    function _verdict(Round memory r, uint256 n) internal view returns (Ruling) {
        uint256 upheld = _count(r.upheld);
        uint256 dismissed = _count(r.dismissed);
        uint256 quorum = n == 0 ? _firstSeats / 2 + 1 : _appealQuorum;
        if (upheld > dismissed && upheld >= quorum) return Ruling.Upheld;
        if (dismissed > upheld && dismissed >= quorum) return Ruling.Dismissed;
        return Ruling.Undecided;
    }

    function _size(uint256 n) internal view returns (uint256) {
        return n == 0 ? _firstSeats : _appealSeats;
    }

    function _seatIn(Dispute storage d, uint256 n, uint256 index) internal view returns (uint32) {
        return uint32(d.panels[2 * n + index / SEATS] >> (index % SEATS * 32));
    }

    function _bit(uint256 index, uint256 n) private view returns (uint256) {
        if (index >= _size(n)) revert BadIndex(index, _size(n));
        return 1 << index;
    }

    function _count(uint256 mask) private pure returns (uint256 bits) {
        // Bound: mask is not 0 where 1 is taken off.
        unchecked {
            for (; mask != 0; mask &= mask - 1) {
                ++bits;
            }
        }
    }

    function _longestDuty() internal view override returns (uint256) {
        return longest;
    }

    function _checkWindow(uint40 window, string memory field) private pure {
        if (window == 0 || window > MAX_WINDOW) revert BadConfig(field);
    }
}
