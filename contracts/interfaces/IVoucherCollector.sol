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
import {Job} from "./IJobEscrow.sol";

/// @notice What a payer and a node agree on for all answers of one channel (EIP-712; docs/protocol.md, section 8). A channel's id is this
/// message's struct hash.
struct Channel {
    address collector;
    address payer;
    /// The node: its owner's address.
    address payee;
    /// The session key that signs the payer's vouchers. A plain key: contract wallets name one.
    address signer;
    /// The ledger account that the node's part is paid to.
    address payTo;
    uint64 modelId;
    /// Per million tokens; every Job of the channel has these three.
    uint64 inputPrice;
    uint64 outputPrice;
    uint64 modelFee;
    /// So that the same two can have another channel on the same terms.
    uint64 nonce;
}

/// @notice A voucher with the terms of its channel. The signature is the session key's over Voucher(channel id, payer, payee, cumulativeAmount,
/// cumulativeModelFee), in ERC-2098 form.
struct Claim {
    Channel channel;
    uint128 cumulativeAmount;
    uint128 cumulativeModelFee;
    bytes32 r;
    bytes32 vs;
}

/// @notice What a node says it answered so far (EIP-712): a Completion, and what the channel costs up to here.
struct Receipt {
    bytes32 jobHash;
    address node;
    bytes32 outputHash;
    uint32 outputTokens;
    uint8 finish;
    uint64 servedAt;
    /// Not looked at: the channel names the account.
    address payTo;
    bytes32 channel;
    uint128 cumulativeAmount;
    uint128 cumulativeModelFee;
}

enum ChannelStatus {
    None,
    Open,
    /// Frozen: nothing is released and nothing ends until the dispute is closed.
    Disputed,
    Closed
}

enum DisputeStatus {
    None,
    Open,
    RuledUpheld,
    RuledDismissed,
    RuledUndecided,
    Closed
}

/// @notice A channel's books, in token base units and seconds. `released <= collected <= deposit`; what lies in the Vault for the channel is
/// `deposit - released`.
struct ChannelState {
    ChannelStatus status;
    /// All that was ever put in.
    uint256 deposit;
    /// The highest voucher that was collected, and the model's part of it.
    uint256 collected;
    uint256 modelFee;
    /// What has left, to node and treasury (or back to the payer after an undecided dispute), and the model's part of it.
    uint256 released;
    uint256 releasedModelFee;
    /// Until when what was collected rests.
    uint256 restUntil;
    /// The last second in which the payee can collect; 0 when nobody is leaving.
    uint256 exitAt;
}

/// @notice A dispute over one receipt.
struct ChannelDispute {
    bytes32 channel;
    DisputeStatus status;
    /// After this second a dispute without a ruling ends undecided.
    uint40 until;
    /// What the answer cost, and the model's part of it: an undecided dispute gives it back.
    uint56 price;
    uint56 modelFee;
    /// What the court asked for of the penalty of an upheld dispute.
    uint72 courtFee;
}

/// @notice How a VoucherCollector is deployed. Amounts in token base units, times in seconds, shares in basis points. None of it can change, so
/// each channel has the terms it was opened under.
struct CollectorConfig {
    IVault vault;
    INodeRegistry nodes;
    IModelRegistry models;
    ITuningGovernor governor;
    /// Zero until there is a court: `challenge` then reverts.
    ICourt court;
    /// Slashed for a wrong answer; reserved of the node's stake while a channel is open.
    uint72 penalty;
    /// The winner's part of what is slashed, at most 5,000; the rest is burned.
    uint16 winnerShare;
    /// How long a receipt can be challenged, and how long collected money rests.
    uint40 challengeWindow;
    /// How long the payee can still collect once somebody leaves; longer than the window.
    uint40 exitPeriod;
    /// After this long without a ruling a dispute ends undecided. Longer than the court can take.
    uint40 disputeLimit;
}

/// @title IVoucherCollector
/// @notice Payment channels: part of a payer's Vault balance, locked for one node and one model, of which the node collects what the payer's
/// session key signs in cumulative vouchers. open → collect, release, … → exit → close. Three verbs come with money, through
/// `Vault.payAndCall(collector, amount, data)`; `data` is the encoded call of a function of IVoucherCollectorPayments.
/// @dev Who acts on a channel brings its terms along. Totals are kept for the channel's id, which is a hash of payer, payee and all
/// other terms.
interface IVoucherCollector is IVaultReceiver, IVaultClient, IDisputable {
    /// The terms are in full: whoever wants to release or close finds them here.
    event ChannelOpened(
        bytes32 indexed channel, address indexed payer, address indexed payee, Channel terms, uint256 deposit
    );
    event ChannelToppedUp(bytes32 indexed channel, address indexed payer, uint256 amount);
    /// By a voucher, or by a challenged receipt.
    event VoucherCollected(
        bytes32 indexed channel, uint256 cumulativeAmount, uint256 cumulativeModelFee, uint256 restUntil
    );
    /// The node earned `amount - modelFee`, the model `modelFee`.
    event PaymentReleased(bytes32 indexed channel, uint256 amount, uint256 modelFee);
    event ExitStarted(bytes32 indexed channel, address indexed by, uint256 exitAt);
    event ChannelClosed(bytes32 indexed channel, uint256 refund);
    /// `subject` is the receipt's struct hash.
    event ReceiptChallenged(bytes32 indexed subject, bytes32 indexed channel, uint256 limit);
    event ReceiptRuled(bytes32 indexed subject, DisputeStatus ruling);
    /// `refund`: what the payer got back of the channel's money.
    event DisputeClosed(bytes32 indexed subject, bytes32 indexed channel, uint256 refund);
    event NodePunished(bytes32 indexed subject, address indexed node, uint256 taken, uint256 paid, uint256 burned);
    event ModelFeesPushed(uint64 indexed modelId, uint256 amount);

    error NotVault(address caller);
    error NotCourt(address caller);
    error NotPayer(address caller, address payer);
    error NotParty(address caller, bytes32 channel);
    error UnknownCall(bytes4 selector);
    error BadCallLength(uint256 length, uint256 expected);
    error WrongCollector(address collector);
    error ZeroSigner();
    error BadPayTo(address payTo);
    error FeeAbovePrice(uint64 modelFee, uint64 inputPrice, uint64 outputPrice);
    error WrongModelFee(uint64 modelFee, uint64 registered);
    error DepositTooLow(uint256 amount, uint256 accepted);
    error AcceptanceExpired(uint256 expires, uint256 time);
    error NotAccepted(address signer, address operator);
    error ChannelExists(bytes32 channel);
    error WrongStatus(bytes32 channel, ChannelStatus status);
    error AlreadyExiting(bytes32 channel, uint256 exitAt);
    error NotExiting(bytes32 channel);
    error TooEarly(uint256 until, uint256 time);
    error WindowClosed(uint256 until, uint256 time);
    error WrongJob(bytes32 jobHash);
    error WrongReceipt(bytes32 subject);
    error NotReceipted(address signer, address node);
    error BadSampling(uint32 temperature, uint32 topP);
    error PaidTooLittle(uint256 cumulativeAmount, uint256 price, uint256 cumulativeModelFee, uint256 modelFee);
    error NotBookable(uint256 cumulativeAmount, uint256 cumulativeModelFee, uint256 deposit);
    error WrongDispute(bytes32 subject, DisputeStatus status);
    error NoCourt();
    error BadConfig(string field);

    /// @notice Collect vouchers of any number of channels, by the payee or its operator. A channel's money then rests one window, all of it: who collects
    /// again before the rest is over starts it anew. What has rested already is released first. Claims that can't be
    /// collected (not higher, above the deposit, too small a model fee, wrong signature, too late, somebody else's) are passed over, so that
    /// no payer can block another's.
    /// @return taken How many were collected.
    function collect(Claim[] calldata claims) external returns (uint256 taken);

    /// @notice Pay out what has rested, of any number of channels, by anyone. Those that are not ready are passed over.
    /// @return paid How many were paid.
    function release(Channel[] calldata channels) external returns (uint256 paid);

    /// @notice Start to leave: by the payer, the session key, the payee or its operator. The payee can collect for `exitPeriod` more; one window
    /// later the channel can be closed. Can't be taken back.
    function exit(Channel calldata channel) external;

    /// @notice End a channel, by anyone, after `exitAt` + window: what was collected goes to node and treasury, the rest to the payer, and the node's
    /// penalty is free again.
    function close(Channel calldata channel) external;

    /// @notice Carry out a ruling, or end a dispute that had none in time as undecided, by anyone. Upheld: the channel ends, the payer gets all that
    /// was not released and its share of the penalty. Dismissed: the channel goes on. Undecided: it goes on without the price of the
    /// disputed answer.
    function closeDispute(Channel calldata channel, bytes32 subject) external;

    /// @notice Send a model's collected fees to its treasury, by anyone.
    function pushModelFees(uint64 modelId) external returns (uint256 amount);

    function channelId(Channel calldata channel) external pure returns (bytes32);
    function receiptHash(Receipt calldata receipt) external pure returns (bytes32);
    function channelOf(bytes32 channel) external view returns (ChannelState memory);
    function disputeOf(bytes32 subject) external view returns (ChannelDispute memory);

    /// @notice The least model fee that a voucher of this amount can carry: what the amount would owe had it all been spent on the dearer kind of
    /// token.
    function leastModelFee(Channel calldata channel, uint256 cumulativeAmount) external pure returns (uint256);

    /// @notice Fees of a model that were released and not yet pushed.
    function feesOf(uint64 modelId) external view returns (uint256);
    function config() external view returns (CollectorConfig memory);
}

/// @title IVoucherCollectorPayments
/// @notice The shapes of `data` for `Vault.payAndCall(collector, amount, data)`. Never called directly.
interface IVoucherCollectorPayments {
    /// @notice Open a channel with `amount` in it, and reserve the node's penalty. By the payer.
    /// @param deposit The least amount that the node accepted.
    /// @param expires Chain time after which the acceptance is void.
    /// @param r Operator's signature of ChannelAcceptance(channel id, deposit, expires), with `vs` in ERC-2098 form.
    function open(Channel calldata channel, uint128 deposit, uint64 expires, bytes32 r, bytes32 vs) external;

    /// @notice Put `amount` more into a channel, by anyone; it is the payer's.
    function topUp(bytes32 channel) external;

    /// @notice Say that an answer is wrong, by the payer, until the receipt's servedAt + window; each receipt once, one at a time in a channel.
    /// `amount` = the court's bond. What the receipt says is owed is booked as collected: nobody is guaranteed an answer that was not paid
    /// through the channel. Evidence is checked against both hashes.
    /// @param r Signature of the receipt by a key that was the node's operator at servedAt, with `vs` in ERC-2098 form.
    function challenge(
        Channel calldata channel,
        Job calldata job,
        Receipt calldata receipt,
        bytes32 r,
        bytes32 vs,
        bytes32 secret,
        bytes calldata maskedPrompt,
        bytes calldata maskedOutput
    ) external;
}
