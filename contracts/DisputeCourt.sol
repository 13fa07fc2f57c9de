// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {CourtRounds} from "./CourtRounds.sol";
import {Case} from "./interfaces/ICourt.sol";
import {IDisputable, Ruling} from "./interfaces/IDisputable.sol";
import {IDisputeCourt, IDisputeCourtPayments, CourtConfig, Phase} from "./interfaces/IDisputeCourt.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Progress, Round, Rounds} from "./libraries/Rounds.sol";
import {Witness} from "./libraries/Witness.sol";

/// @title DisputeCourt
/// @notice See IDisputeCourt, which is the specification.
contract DisputeCourt is CourtRounds, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using Rounds for Round;
    using Rounds for uint256;

    /// @dev What became of a round's seats.
    struct Tally {
        bool drawn;
        uint256 paid;
        uint256 silent;
        uint256 taken;
    }

    uint256 private constant CASE_LENGTH = 448;
    uint256 private constant WORD = 32;
    /// @dev Enough for any opener that does what IDisputable asks, and what the call itself may cost.
    uint256 private constant RULING_GAS = 200_000;
    uint256 private constant CALL_GAS = 10_000;
    uint256 private constant APPEAL_LENGTH = 4 + WORD + CASE_LENGTH;

    constructor(CourtConfig memory c) CourtRounds(c) {}

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        // An opening is a whole number of words; an appeal is four bytes more than one.
        if (data.length == APPEAL_LENGTH && bytes4(data) == IDisputeCourtPayments.appeal.selector) {
            _appeal(payer, amount, abi.decode(data[4:], (address)), _caseIn(data[4 + WORD:]));
        } else {
            _open(payer, amount, data);
        }
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc IDisputeCourt
    function close(address opener, Case calldata case_) external nonReentrant {
        bytes32 id = disputeId(opener, case_);
        (Phase phase,,) = phaseOf(id);
        if (phase != Phase.Final) revert WrongPhase(id, phase);
        Dispute storage d = _disputes[id];
        uint256 word = d.rounds[0];
        if (word & Rounds.CLOSED << Rounds.FLAGS != 0) revert AlreadyClosed(id);
        d.rounds[0] = word | Rounds.CLOSED << Rounds.FLAGS;
        Ruling ruling = rulingOf(id);
        (uint256 paid, uint256 toFunder) = _settle(d, case_, ruling);
        bool told = _tell(opener, case_.subject, ruling);
        emit DisputeClosed(id, ruling, told, paid, toFunder);
    }

    /// @dev An opener that fails must not hold up the seats, and nobody may make it fail by sending too little gas.
    function _tell(address opener, bytes32 subject, Ruling ruling) private returns (bool told) {
        // The seats were paid from the bond: nothing is asked of the penalty.
        bytes memory data = abi.encodeCall(IDisputable.onRuling, (subject, ruling, 0));
        if (gasleft() * 63 / 64 < RULING_GAS + CALL_GAS) revert NotEnoughGas(gasleft(), RULING_GAS);
        // Not Solidity's own call, which copies all that comes back, at the closer's cost.
        assembly ("memory-safe") {
            told := call(RULING_GAS, opener, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    function _open(address opener, uint256 amount, bytes calldata data) private {
        Case calldata c = _caseIn(data);
        uint256 tokens = _checkEvidence(data, c.promptTokens, c.outputTokens);
        if (amount != bondFor(tokens)) revert WrongAmount(amount, bondFor(tokens));
        // Whoever settles pays them; a payment that the Vault refuses would hold up the seats.
        _checkParty(c.challenger);
        _checkParty(c.node);
        bytes32 id = disputeId(opener, c);
        Dispute storage d = _disputes[id];
        if (d.rounds[0] != 0) revert CaseExists(id);
        Round memory r;
        r.period = (_period() - 1).toUint32();
        bool exact;
        (r.pool, exact, r.flags) = _choosePool(c, r.period);
        uint64 ticket = _request(r);
        d.rounds[0] = r.pack();
        bool network = r.flags & Rounds.EXCUSED != 0;
        emit DisputeOpened(id, opener, c.modelId, exact, network, r.flags & Rounds.APPEALABLE != 0, ticket, data);
    }

    function _appeal(address payer, uint256 amount, address opener, Case calldata c) private {
        bytes32 id = disputeId(opener, c);
        Dispute storage d = _disputes[id];
        (Phase phase,,) = phaseOf(id);
        if (phase == Phase.None) revert UnknownCase(id);
        if (phase != Phase.Appealable) revert WrongPhase(id, phase);
        uint256 needed = appealCost(uint256(c.promptTokens) + c.outputTokens);
        if (amount != needed) revert WrongAmount(amount, needed);
        Round memory first = d.rounds[0].unpack();
        Round memory r;
        // The seats of the same period as the first panel's: none can be taken for an appeal that is foreseen.
        r.period = first.period;
        bool exact = c.bitClass != 0 && first.pool == _poolNamed(c.modelId, c.bitClass);
        r.pool = exact ? _poolNamed(0, c.bitClass) : NETWORK;
        r.flags = Rounds.EXCUSED;
        uint64 ticket = _request(r);
        d.rounds[1] = r.pack();
        d.rounds[0] |= Rounds.APPEALED << Rounds.FLAGS;
        d.funder = payer;
        emit AppealFunded(id, payer, amount, ticket);
    }

    /// @dev Which seats judge. A class too small to serve the appeal gives way to the tolerant rule; a model with too few seats to all seats.
    function _choosePool(Case calldata c, uint256 period)
        private
        view
        returns (uint32 pool, bool exact, uint256 flags)
    {
        // Model 0 has no seats; its name is that of the pools of all models.
        bool ofModel = c.modelId != 0;
        if (ofModel && c.bitClass != 0 && _sizeAt(_poolNamed(0, c.bitClass), period) >= _appealSeats) {
            pool = _poolNamed(c.modelId, c.bitClass);
            if (_sizeAt(pool, period) >= _firstSeats) return (pool, true, Rounds.APPEALABLE);
        }
        uint256 network = _sizeAt(NETWORK, period);
        if (network < _firstSeats) revert NotEnoughSeats(network, _firstSeats);
        if (network >= _appealSeats) flags = Rounds.APPEALABLE;
        pool = _poolNamed(c.modelId, 0);
        if (ofModel && _sizeAt(pool, period) >= _firstSeats) return (pool, false, flags);
        return (NETWORK, false, flags | Rounds.EXCUSED);
    }

    /// @dev Pays and punishes all seats, and whoever paid for them; what is left is burned.
    function _settle(Dispute storage d, Case calldata c, Ruling ruling)
        private
        returns (uint256 paid, uint256 toFunder)
    {
        uint256 tokens = uint256(c.promptTokens) + c.outputTokens;
        uint256 fee = feeFor(tokens);
        bool appealed = d.rounds[0] & Rounds.APPEALED << Rounds.FLAGS != 0;
        Tally[2] memory t;
        Ruling before;
        bool changed;
        for (uint256 n = 0; n < (appealed ? 2 : 1); ++n) {
            Round memory r = d.rounds[n].unpack();
            if (n == 0) {
                before = _verdict(r, n);
                changed = ruling != before && ruling != Ruling.Undecided;
            }
            // A round that was never drawn leaves nobody to pay or to punish.
            if (r.progress <= Progress.Requested) continue;
            t[n] = _settleRound(d, n, r, ruling, fee, changed && n == 0 ? before : Ruling.None);
        }

        // All that is held for this dispute; what is not paid is burned.
        uint256 rest = bondFor(tokens) + t[0].taken + t[1].taken;
        if (appealed) rest += appealCost(tokens);
        paid = t[0].paid + t[1].paid;
        rest -= paid;
        if (ruling == Ruling.Dismissed) rest -= _pay(c.node, _nodeFee);
        // Silence gives back nothing unless the challenger was right: to have seats fined for it must not be free.
        else if (ruling == Ruling.Upheld) rest -= _pay(c.challenger, t[0].silent * fee + _nodeFee);
        else if (t[0].drawn) rest -= _pay(c.challenger, _nodeFee);
        // Only an appeal changes a ruling.
        if (changed) {
            uint256 reward = Pricing.share(t[0].taken, _appealShare);
            // Where nobody was overturned there is a cost to make good, and nothing to win.
            if (before == Ruling.Undecided) reward = Math.min(reward, t[1].paid);
            toFunder = appealCost(tokens) - t[1].paid + reward;
            rest -= _pay(d.funder, toFunder);
        }
        _pay(BURNED, rest);
    }

    /// @dev Pays and punishes a panel, and clears its votes.
    /// @param overturned The vote whose seats forfeit their stake; None when no seat does.
    function _settleRound(Dispute storage d, uint256 n, Round memory r, Ruling ruling, uint256 fee, Ruling overturned)
        private
        returns (Tally memory t)
    {
        t.drawn = true;
        uint256 size = _size(n);
        bytes32[] memory witnesses = new bytes32[](size);
        uint256 voted = r.upheld | r.dismissed;
        for (uint256 i = 0; i < size; ++i) {
            witnesses[i] = d.ballots[n * BALLOTS + i];
            delete d.ballots[n * BALLOTS + i];
        }
        uint256 right = Witness.agreement(witnesses, voted);
        if (ruling != Ruling.Undecided) right &= _votesFor(r, ruling);
        uint256 forfeit = _votesFor(r, overturned);
        uint256 excused = voted | (r.flags & Rounds.EXCUSED != 0 ? r.revealed : 0);
        for (uint256 i = 0; i < size; ++i) {
            uint32 seat = _seatIn(d, n, i);
            if (right >> i & 1 != 0) t.paid += _pay(_seats[seat].node, fee);
            if (r.revealed >> i & 1 == 0) ++t.silent;
            if (forfeit >> i & 1 != 0) t.taken += _punish(seat, seatStake);
            else if (excused >> i & 1 == 0) t.taken += _punish(seat, _silentFine);
        }
        d.panels[2 * n] = 0;
        if (size > SEATS) d.panels[2 * n + 1] = 0;
    }

    function _pay(address to, uint256 amount) private returns (uint256) {
        if (amount != 0) vault.pay(to, amount);
        return amount;
    }

    function _votesFor(Round memory r, Ruling ruling) private pure returns (uint256) {
        return ruling == Ruling.Upheld ? r.upheld : ruling == Ruling.Dismissed ? r.dismissed : 0;
    }

    /// @dev The layout is abi.encode's own, so that whoever reads the log can decode it.
    function _checkEvidence(bytes calldata data, uint256 promptTokens, uint256 outputTokens)
        private
        pure
        returns (uint256 tokens)
    {
        tokens = promptTokens + outputTokens;
        uint256 promptBytes = BYTES_PER_TOKEN * promptTokens;
        uint256 outputBytes = BYTES_PER_TOKEN * outputTokens;
        uint256 promptAt = CASE_LENGTH + 2 * WORD;
        uint256 outputAt = promptAt + WORD + _padded(promptBytes);
        uint256 length = outputAt + WORD + _padded(outputBytes);
        if (
            promptTokens == 0 || outputTokens == 0 || tokens > MAX_TOKENS || data.length != length
                || _wordAt(data, CASE_LENGTH) != promptAt || _wordAt(data, CASE_LENGTH + WORD) != outputAt
                || _wordAt(data, promptAt) != promptBytes || _wordAt(data, outputAt) != outputBytes
                || _padding(data, promptAt + WORD, promptBytes) | _padding(data, outputAt + WORD, outputBytes) != 0
        ) revert BadEvidence(data.length, length, tokens, MAX_TOKENS);
    }

    /// @dev What follows `length` bytes at `at`, to the end of their last word: a strict decoder refuses anything but zeros.
    function _padding(bytes calldata data, uint256 at, uint256 length) private pure returns (uint256) {
        uint256 rest = length % WORD;
        return rest == 0 ? 0 : _wordAt(data, at + length - rest) << 8 * rest;
    }

    function _padded(uint256 length) private pure returns (uint256) {
        return (length + WORD - 1) / WORD * WORD;
    }

    function _caseIn(bytes calldata data) private pure returns (Case calldata c) {
        if (data.length < CASE_LENGTH) revert BadEvidence(data.length, CASE_LENGTH, 0, MAX_TOKENS);
        assembly ("memory-safe") {
            c := data.offset
        }
    }

    /// @dev The caller knows that `data` reaches that far.
    function _wordAt(bytes calldata data, uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, at))
        }
    }

    function _checkParty(address party) private view {
        if (party == address(0) || party == address(vault)) revert BadParty(party);
    }
}
