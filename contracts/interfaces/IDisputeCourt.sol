// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICourt, Case} from "./ICourt.sol";
import {ICourtSeats} from "./ICourtSeats.sol";
import {Ruling} from "./IDisputable.sol";
import {INodeRegistry} from "./INodeRegistry.sol";
import {IRandomness} from "./IRandomness.sol";
import {IVault} from "./IVault.sol";
import {IVaultClient} from "./IVaultClient.sol";
import {Round} from "../libraries/Rounds.sol";

/// @notice How a DisputeCourt is deployed. Amounts in token base units, times in seconds. None of it can change, so each dispute has the
/// terms it was opened under.
struct CourtConfig {
    IVault vault;
    INodeRegistry nodes;
    IRandomness randomness;
    /// Behind each seat; what a seat forfeits when an appeal overturns its majority.
    uint72 seatStake;
    /// Taken from a seat that does not reveal. More than any fee, at most the stake.
    uint72 silentFine;
    /// What a seat earns by a vote that is paid: once, and per token of evidence.
    uint64 seatFee;
    uint64 seatFeePerToken;
    /// What a node gets for having been challenged without reason; a part of the bond.
    uint64 nodeFee;
    /// Whoever funds an appeal that overturns gets this part of what the first panel loses, in basis points, at most 5,000; the rest is burned.
    uint16 appealShare;
    /// Seats drawn in the first round and in the appeal: odd, 3 to 15, the second no fewer than the first.
    uint8 firstSeats;
    uint8 appealSeats;
    /// Equal votes that decide an appeal, if they are more than the others. In the first round it is more than half of the seats.
    uint8 appealQuorum;
    uint40 period;
    uint40 drawWindow;
    uint40 commitWindow;
    uint40 revealWindow;
    uint40 appealWindow;
}

/// @notice What a verifier finds. Upheld: the challenger is right, the output is wrong. Unable: it can't run this model.
enum Vote {
    None,
    Upheld,
    Dismissed,
    Unable
}

/// @notice Where a dispute stands; follows from the clock and from who has acted.
enum Phase {
    None,
    /// Until the panel is drawn.
    Drawing,
    Committing,
    Revealing,
    /// The first round has ended and an appeal can be funded.
    Appealable,
    /// Nothing can change any more: anyone may `close`.
    Final
}

/// @title IDisputeCourt
/// @notice Disputes over answers, judged by panels of seats drawn by lot, who commit to a vote and then reveal it. A dispute is opened
/// by an IDisputable through the Vault (see ICourt), drawn, committed to, revealed; it can be appealed once, by
/// `Vault.payAndCall(court, appealCost(tokens), abi.encodeCall(appeal, (opener, case)))` from anyone; then closed. Every phase ends by
/// time, or earlier when all have acted, and anyone can take a dispute on from there.
/// @dev A dispute's id is keccak256(abi.encode(opener, case)): whoever acts on the case brings it along, and the court stores none of it.
/// Whoever pays the bond may open; of the case only the parties' addresses and the evidence's layout and size are checked here (neither prompt
/// nor output is empty), the rest is the opener's to have checked. Model 0 has no seats: its cases are judged by all, by the tolerant rule.
interface IDisputeCourt is ICourt, ICourtSeats, IVaultClient {
    /// `evidence` is abi.encode(Case, maskedPrompt, maskedOutput), as it came. `exact`: judged by the exact rule and by the case's bit class;
    /// otherwise by the tolerant rule. `network`: the model has too few seats, and the first panel comes from all. `ticket`: of the randomness
    /// that is to draw it, within the draw window.
    event DisputeOpened(
        bytes32 indexed id,
        address indexed opener,
        uint64 indexed modelId,
        bool exact,
        bool network,
        bool appealable,
        uint64 ticket,
        bytes evidence
    );
    /// The commit window starts with this block.
    event PanelDrawn(bytes32 indexed id, uint256 round, uint64 lot, uint32[] seats);
    /// `ballot` is 16 · round + index.
    event VoteCommitted(bytes32 indexed id, uint256 ballot);
    event VoteRevealed(bytes32 indexed id, uint256 ballot, Vote vote, bytes32 witness);
    event AppealFunded(bytes32 indexed id, address indexed funder, uint256 amount, uint64 ticket);
    /// `told`: the opener took the ruling. What seats lost is in SeatPunished, what was burned in the Vault's Paid.
    event DisputeClosed(bytes32 indexed id, Ruling ruling, bool told, uint256 paidToSeats, uint256 toFunder);

    error NotVault(address caller);
    error BadConfig(string field);
    error CaseExists(bytes32 id);
    error UnknownCase(bytes32 id);
    error BadParty(address party);
    error BadEvidence(uint256 length, uint256 expected, uint256 tokens, uint256 limit);
    error WrongAmount(uint256 amount, uint256 needed);
    error NotEnoughSeats(uint256 seats, uint256 needed);
    error WrongPhase(bytes32 id, Phase phase);
    error NotAppealable(bytes32 id);
    error BadIndex(uint256 index, uint256 size);
    error AlreadyCommitted(bytes32 id, uint256 round, uint256 index);
    error NotCommitted(bytes32 id, uint256 round, uint256 index);
    error AlreadyRevealed(bytes32 id, uint256 round, uint256 index);
    error WrongReveal(bytes32 commitment, bytes32 expected);
    error AlreadyClosed(bytes32 id);
    error NotEnoughGas(uint256 gas, uint256 needed);

    /// @notice Draw the panel of the round that waits for it, by anyone. `commit` does it by itself.
    function draw(bytes32 id) external;

    /// @notice Commit member `index`'s vote, by its seat's node or operator.
    /// @param commitment See commitmentOf. Write the salt to disk first.
    function commit(bytes32 id, uint256 index, bytes32 commitment) external;

    /// @notice Reveal what the same key committed. From when all have committed, or their time is over.
    /// @param witness Second-best token ids at witnessPositions, before noise, ties to the lower id: eight uint32.
    function reveal(bytes32 id, uint256 index, Vote vote, bytes32 witness, bytes32 salt) external;

    /// @notice Pay, punish and tell the opener the ruling, by anyone, once the dispute is Final.
    function close(address opener, Case calldata case_) external;

    function config() external view returns (CourtConfig memory);
    function disputeId(address opener, Case calldata case_) external pure returns (bytes32);

    /// @notice keccak256(abi.encode(chain id, this court, id, round, index, voter, vote, witness, salt)).
    /// @param voter The key that sends both transactions.
    function commitmentOf(
        bytes32 id,
        uint256 round,
        uint256 index,
        address voter,
        Vote vote,
        bytes32 witness,
        bytes32 salt
    ) external view returns (bytes32);

    /// @notice Absolute positions in prompt + output; the logits meant are those that follow the token there.
    /// @param lot Of PanelDrawn, or the drawn round's.
    function witnessPositions(uint64 lot, uint256 tokens) external pure returns (uint256[] memory);

    /// @notice What a seat earns by a vote on this much evidence.
    function feeFor(uint256 tokens) external view returns (uint256);

    /// @notice What funding an appeal costs.
    function appealCost(uint256 tokens) external view returns (uint256);

    /// @return phase Where the dispute stands now.
    /// @return round 0, or 1 once there is an appeal.
    /// @return until When the phase ends by time; 0 when it does not.
    function phaseOf(bytes32 id) external view returns (Phase phase, uint256 round, uint256 until);

    /// @notice The ruling as it stands; what `close` will say once the dispute is Final.
    function rulingOf(bytes32 id) external view returns (Ruling);
    function roundOf(bytes32 id, uint256 round) external view returns (Round memory);

    /// @notice The seats of a panel and their nodes; before it is stored, as `draw` would draw it now. Empty once the dispute is settled.
    function panelOf(bytes32 id, uint256 round)
        external
        view
        returns (uint64 lot, uint32[] memory seats, address[] memory members);
}

/// @title IDisputeCourtPayments
/// @notice The shape of `data` for `Vault.payAndCall(court, amount, data)`, other than an opener's. Never called directly.
interface IDisputeCourtPayments {
    /// @notice Fund the one appeal, while the dispute is Appealable; `amount` = appealCost(tokens).
    function appeal(address opener, Case calldata case_) external;
}
