// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVaultReceiver} from "./IVaultReceiver.sol";
import {IVaultClient} from "./IVaultClient.sol";
import {IDisputable} from "./IDisputable.sol";
import {IVault} from "./IVault.sol";
import {INodeRegistry} from "./INodeRegistry.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {ITuningGovernor} from "./ITuningGovernor.sol";
import {ICourt} from "./ICourt.sol";

/// @notice What a client asks of a node and on what terms (EIP-712; docs/protocol.md, section 1).
struct Job {
    address collector;
    bytes32 channel;
    address client;
    address node;
    uint64 modelId;
    uint32 version;
    bytes32 promptHash;
    uint32 promptTokens;
    uint32 maxTokens;
    bytes32 secretHash;
    uint64 seed;
    uint32 temperature;
    uint32 topP;
    uint64 inputPrice;
    uint64 outputPrice;
    uint64 modelFee;
    uint128 ceiling;
    uint64 deadline;
    bytes32 bitClass;
    bytes32 clientKey;
}

/// @notice What a node says it answered (EIP-712).
struct Completion {
    bytes32 jobHash;
    address node;
    bytes32 outputHash;
    uint32 outputTokens;
    uint8 finish;
    uint64 servedAt;
    address payTo;
}

/// @notice A job's status only ever rises.
enum Status {
    None,
    Open,
    Completed,
    Demanded,
    Delivered,
    Disputed,
    RuledUpheld,
    RuledDismissed,
    RuledUndecided,
    Final
}

/// @notice How a JobEscrow is deployed. Amounts in token base units, times in seconds, shares in basis points.
struct EscrowConfig {
    IVault vault;
    INodeRegistry nodes;
    IModelRegistry models;
    ITuningGovernor governor;
    /// Zero until there is a court: `challenge` then reverts.
    ICourt court;
    /// Slashed for a wrong or withheld answer; reserved of the node's stake when its job opens.
    uint72 penalty;
    /// Slashed for a missed deadline.
    uint72 missPenalty;
    /// The winner's part of what is slashed, at most 5,000, and for a missed or withheld answer at most the answer's price; the rest
    /// is burned.
    uint16 winnerShare;
    /// What a client pays for demanding the output on chain: once, and per output token. It comes back when the node does not
    /// answer, and is burned when it does: neither side gains by a demand.
    uint64 deliveryFee;
    uint64 deliveryFeePerToken;
    uint40 challengeWindow;
    uint40 deliveryWindow;
    /// After this long without a ruling a dispute ends undecided. Longer than the court can take.
    uint40 disputeLimit;
    uint40 maxJobTime;
}

/// @title IJobEscrow
/// @notice One escrowed job: open → complete → approve, or after the challenge window finalize. Three verbs come with money, through
/// `Vault.payAndCall(escrow, amount, data)`; `data` is the encoded call of a function of IJobEscrowPayments.
/// @dev A job is named by its struct hash, and its whole state is one word; who acts on it brings the Job and the Completion along.
interface IJobEscrow is IVaultReceiver, IVaultClient, IDisputable {
    /// The Job itself lies in the transaction's calldata, behind the selector of IJobEscrowPayments.open: whoever lost it finds it
    /// there and knows it by its hash.
    event JobOpened(bytes32 indexed jobHash, address indexed client, address indexed node);
    /// Every member of the Completion: whoever has to bring it along can take it from here, whatever the node put in it.
    event JobCompleted(
        bytes32 indexed jobHash,
        address node,
        bytes32 outputHash,
        uint32 outputTokens,
        uint8 finish,
        uint64 servedAt,
        address payTo
    );
    event DeliveryDemanded(bytes32 indexed jobHash, uint256 windowEnd);
    event OutputDelivered(bytes32 indexed jobHash, bytes maskedOutput, uint256 windowEnd);
    event JobChallenged(bytes32 indexed jobHash, uint256 limit);
    event JobRuled(bytes32 indexed jobHash, Status ruling);
    /// The node earned `payment - modelFee`, the model `modelFee`; the client got the rest of its ceiling back.
    event JobPaid(bytes32 indexed jobHash, uint256 payment, uint256 modelFee);
    event JobRefunded(bytes32 indexed jobHash, uint256 amount);
    event NodePunished(bytes32 indexed jobHash, address indexed node, uint256 taken, uint256 paid, uint256 burned);
    event ModelFeesPushed(uint64 indexed modelId, uint256 amount);

    error NotVault(address caller);
    error NotCourt(address caller);
    error NotClient(address caller, address client);
    error NotOperator(address caller, address operator);
    error UnknownCall(bytes4 selector);
    error BadCallLength(uint256 length, uint256 expected);
    error WrongCollector(address collector, bytes32 channel);
    error CeilingTooLow(uint256 ceiling, uint256 fullPrice);
    error WrongAmount(uint256 amount, uint256 expected);
    error WrongModelFee(uint64 modelFee, uint64 registered);
    error FeeAbovePrice(uint64 modelFee, uint64 inputPrice, uint64 outputPrice);
    error BadTokenCount(uint256 promptTokens, uint256 maxTokens, uint256 limit);
    error BadSampling(uint32 temperature, uint32 topP);
    error DeadlinePassed(uint256 deadline, uint256 time);
    error DeadlineTooFar(uint256 deadline, uint256 latest);
    error AcceptanceExpired(uint256 expires, uint256 time);
    error NotAccepted(address signer, address operator);
    error JobExists(bytes32 jobHash);
    error WrongStatus(bytes32 jobHash, Status status);
    error WrongCompletion(bytes32 jobHash);
    error BadCompletion(uint32 outputTokens, uint256 maxTokens, uint8 finish);
    error ZeroPayTo();
    error TooEarly(uint256 until, uint256 time);
    error WindowClosed(uint256 until, uint256 time);
    error WrongTokens(bytes32 hash, bytes32 expected, uint256 length);
    error WrongSecret(bytes32 hash, bytes32 expected);
    error NoCourt();
    error LengthMismatch(uint256 jobs, uint256 completions);
    error BadConfig(string field);

    /// @notice Commit to an answer, `end` or `length` (nothing can cut an escrowed answer). Only the operator key that accepted the job, once, before the deadline; the challenge window
    /// starts. `completion.node` is not looked at: the job hash names the node.
    function complete(Completion calldata completion) external;

    /// @notice The client is content: the node is paid now. A demand's fee is burned.
    function approve(Job calldata job, Completion calldata completion) external;

    /// @notice Answer a demand by posting the masked output (docs/protocol.md, section 2), by anyone who has it. The demand's fee is burned
    /// and the challenge window starts again.
    function deliver(Job calldata job, Completion calldata completion, bytes calldata maskedOutput) external;

    /// @notice Pay the nodes of many jobs whose challenge window has passed, by anyone. Those that are not ready are passed over,
    /// so that nobody can block another's payout.
    /// @return paid How many were paid.
    function finalize(Job[] calldata jobs, Completion[] calldata completions) external returns (uint256 paid);

    /// @notice The node missed its deadline: refund the client and slash the miss penalty, by anyone.
    function expire(Job calldata job) external;

    /// @notice The node did not answer a demand in time: refund the client and slash the penalty, by anyone.
    function closeWithheld(Job calldata job, Completion calldata completion) external;

    /// @notice Carry out a ruling, or end a dispute that had none in time as undecided (refund, no slash), by anyone.
    function closeDispute(Job calldata job, Completion calldata completion) external;

    /// @notice Send a model's collected fees to its treasury, by anyone.
    function pushModelFees(uint64 modelId) external returns (uint256 amount);

    function jobHash(Job calldata job) external pure returns (bytes32);
    function completionHash(Completion calldata completion) external pure returns (bytes32);

    /// @return status Where the job stands.
    /// @return until The deadline while Open; the end of the window or limit that runs otherwise; 0 when none does.
    function jobStatus(bytes32 jobHash_) external view returns (Status status, uint256 until);

    /// @notice What a demand for this many output tokens costs, in token base units.
    function deliveryCost(uint256 outputTokens) external view returns (uint256);

    /// @notice Of an upheld job: what the court asked for, and once the dispute is closed what was paid to it.
    function courtFeeOf(bytes32 jobHash_) external view returns (uint256);

    /// @notice Fees of a model that were collected and not yet pushed.
    function feesOf(uint64 modelId) external view returns (uint256);
    function config() external view returns (EscrowConfig memory);
}

/// @title IJobEscrowPayments
/// @notice The shapes of `data` for `Vault.payAndCall(escrow, amount, data)`. Never called directly.
interface IJobEscrowPayments {
    /// @notice Lock `amount` = the job's ceiling, at least its price at maxTokens, and reserve the node's penalty.
    /// @param expires Chain time after which the acceptance is void.
    /// @param r Operator's signature of Acceptance(jobHash, expires), with `vs` in ERC-2098 form.
    function open(Job calldata job, uint64 expires, bytes32 r, bytes32 vs) external;

    /// @notice Have the output posted on chain: the client never got it. `amount` = deliveryCost(outputTokens).
    function demandDelivery(Job calldata job, Completion calldata completion) external;

    /// @notice Say that the output is wrong. `amount` = the court's bond. Evidence is checked against both hashes.
    function challenge(
        Job calldata job,
        Completion calldata completion,
        bytes32 secret,
        bytes calldata maskedPrompt,
        bytes calldata maskedOutput
    ) external;
}
