// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "./IVault.sol";
import {IVaultClient} from "./IVaultClient.sol";
import {IVaultReceiver} from "./IVaultReceiver.sol";
import {IRandomness} from "./IRandomness.sol";
import {IAssertions, AssertionTerms} from "./IAssertions.sol";
import {ITuningVotes} from "./ITuningVotes.sol";
import {ITuningTasks, TuningTerms} from "./ITuningTasks.sol";

/// @notice What is voted on. Its id is keccak256(abi.encode(proposal)); whoever acts on it brings it along, from the log.
struct Proposal {
    uint64 epoch;
    address proposer;
    TuningTerms terms;
}

/// @notice What became of an epoch of one model. Votes in model-token base units, amounts in base units of the payment token.
struct Epoch {
    /// Votes of all proposals at or above the quorum.
    uint96 qualified;
    /// What was in the treasury when it was closed.
    uint72 budget;
    /// Of the randomness from whose value held-out preferences are drawn; that of a block after the votes were in.
    uint64 ticket;
    bool closed;
    /// The version that was tuned, and that the merge must not be worse than.
    uint32 parent;
    /// The version that came of it; 0 while there is none.
    uint32 version;
    /// How many functions were funded, and with what.
    uint16 functions;
    uint72 spent;
}

/// @notice The next version, as one says it is. `manifest` is the sha2-256 of its canonical JSON.
struct Merge {
    uint64 modelId;
    uint64 epoch;
    bytes32 manifest;
}

/// @notice How a TuningGovernor is deployed. Times in seconds, amounts in token base units, shares in basis points.
struct GovernorConfig {
    IVault vault;
    ITuningTasks tasks;
    IRandomness randomness;
    AssertionTerms merges;
    uint40 epochLength;
    /// Nothing can be proposed this long before an epoch's end: what is voted on can be read.
    uint40 reviewWindow;
    /// How long after its end an epoch can be closed; at most an epoch.
    uint40 closeWindow;
    /// How long merges can be posted.
    uint40 mergeWindow;
    /// Votes that a proposal needs, in basis points of the token's supply.
    uint16 quorum;
    /// Votes from which on the whole treasury is split, in basis points of the supply, no less than the quorum: of fewer votes, a like part of it, so that a few
    /// who vote alone don't spend what belongs to all.
    uint16 fullTurnout;
    /// How much worse than its parent a merge may be on what was held out: millionths of a nat per token.
    uint32 lossBound;
}

/// @title ITuningGovernor
/// @notice Each model's treasury, and how its token holders spend it. **A majority of a model's tokens owns its treasury.**
/// @dev The life of epoch n of a model (docs/tuning.md): during it, anyone proposes and holders vote. In the closeWindow after its end anyone
/// closes it: the treasury is split over the proposals at or above the quorum in proportion to their votes (of all votes above the quorum, or of fullTurnout where they
/// are fewer), each within its cap, and TuningTasks starts them; what no proposal gets stays in the treasury, and so does all of it when nobody closes. From `mergeFrom` on, when every
/// task is over, anyone posts the merge under bond (see IAssertions), and `finishMerge` publishes one that stands.
///
/// Money comes by `Vault.payAndCall(governor, amount, data)`: with `data` = abi.encode(modelId) it goes to the model's treasury, from anyone; otherwise
/// `data` is the call of a function of ITuningGovernorPayments.
interface ITuningGovernor is IVaultReceiver, IVaultClient, ITuningVotes, IAssertions {
    event TreasuryFunded(uint64 indexed modelId, address indexed payer, uint256 amount);
    event ProposalMade(bytes32 indexed id, uint64 indexed modelId, uint64 indexed epoch, Proposal proposal);
    event EpochClosed(
        uint64 indexed modelId, uint64 indexed epoch, uint256 budget, uint256 qualified, uint32 parent, uint64 ticket
    );
    /// The function's id in TuningTasks is in FunctionStarted, whose `reference` is the proposal.
    event ProposalFunded(bytes32 indexed id, uint64 indexed modelId, uint64 indexed epoch, uint256 amount);
    event MergePosted(
        uint256 indexed id, uint64 indexed modelId, uint64 indexed epoch, address poster, bytes32 manifest
    );
    event MergeFinished(uint256 indexed id, uint64 indexed modelId, uint64 indexed epoch, uint32 version);

    error NotVault(address caller);
    error UnknownCall(bytes4 selector);
    error ProposalExists(bytes32 id);
    error ProposingOver(uint256 until, uint256 time);
    error NothingQualified(uint64 modelId, uint256 epoch);
    error NothingFunded(uint64 modelId, uint256 epoch);
    error EmptyManifest();
    error AlreadyPublished(uint64 modelId, uint256 epoch, uint32 version);

    /// @notice Put a tuning function to this epoch's vote, by anyone. Reverts for terms that could not be started.
    function propose(TuningTerms calldata terms) external returns (bytes32 id);

    /// @notice Close the model's last epoch, by anyone, in the closeWindow after its end, and fund what of `proposals` qualified. The first call fixes the
    /// budget; what is unknown, of another epoch, below the quorum or already funded is passed over, so calls can be repeated and can't
    /// block each other.
    /// @return funded How many of `proposals` were funded by this call.
    function closeEpoch(uint64 modelId, Proposal[] calldata proposals) external returns (uint256 funded);

    /// @notice Settle a posted merge whose time has come, by anyone; the first that stands becomes the model's next version, whose parent is the version that was
    /// tuned. One that falls is not published, and the parent goes on serving.
    /// @return version What was published; 0 when nothing was.
    function finishMerge(uint256 id, Merge calldata merge) external returns (uint32 version);

    /// @notice What a model has to spend, in token base units.
    function treasuryOf(uint64 modelId) external view returns (uint256);
    function epochOf(uint64 modelId, uint256 epoch) external view returns (Epoch memory);
    function proposalId(Proposal calldata proposal) external pure returns (bytes32);

    /// @notice When merges of an epoch can be posted: every task of it is over then.
    function mergeFrom(uint256 epoch) external view returns (uint256);

    /// @notice From when on nothing of an epoch can change any more, whoever has done what.
    function overFrom(uint256 epoch) external view returns (uint256);
    function governorConfig() external view returns (GovernorConfig memory);
}

/// @title ITuningGovernorPayments
/// @notice The shapes of `data` for `Vault.payAndCall(governor, amount, data)`, other than a treasury's. Never called directly.
interface ITuningGovernorPayments {
    /// @notice Say what an epoch's merge is, from mergeFrom for a mergeWindow. `amount` = the merge bond.
    function postMerge(Merge calldata merge) external;

    /// @notice Say that a posted merge is wrong: not what the accepted adapters give, or worse than its parent by more than lossBound.
    /// `amount` = court.bondFor(49).
    function challengeMerge(uint256 id, Merge calldata merge) external;
}
