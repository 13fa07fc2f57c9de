// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {
    IVoucherCollector,
    IVoucherCollectorPayments,
    Channel,
    ChannelDispute,
    ChannelStatus,
    CollectorConfig,
    DisputeStatus,
    Receipt
} from "./interfaces/IVoucherCollector.sol";
import {Job} from "./interfaces/IJobEscrow.sol";
import {ICourt} from "./interfaces/ICourt.sol";
import {IDisputable, Ruling} from "./interfaces/IDisputable.sol";
import {ITuningGovernor} from "./interfaces/ITuningGovernor.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Account, Accounts, Released} from "./libraries/Accounts.sol";
import {Evidence} from "./libraries/Evidence.sol";
import {Messages} from "./libraries/Messages.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {VoucherChannels} from "./VoucherChannels.sol";

/// @title VoucherCollector
/// @notice See IVoucherCollector, which is the specification.
contract VoucherCollector is VoucherChannels {
    using Accounts for Account;
    using Accounts for Released;
    using Accounts for uint256;

    uint256 private constant MILLION = 1e6;
    uint256 private constant MAX_TEMPERATURE = 100 * MILLION;
    uint256 private constant FINISH_CUT = 2;
    /// @dev Where Job, Receipt and signature begin, behind the Channel: 10, 20 and 10 words long.
    uint256 private constant JOB_AT = 320;
    uint256 private constant RECEIPT_AT = 960;
    uint256 private constant SIGNATURE_AT = 1280;
    /// @dev Signature, secret, and where prompt and output begin.
    uint256 private constant CHALLENGE_LENGTH = SIGNATURE_AT + 5 * 32;

    ICourt private immutable _court;
    uint16 private immutable _winnerShare;
    uint40 private immutable _disputeLimit;

    mapping(bytes32 subject => ChannelDispute) private _disputes;

    constructor(CollectorConfig memory c) VoucherChannels(c) {
        if (c.winnerShare > Pricing.BASIS_POINTS / 2) revert BadConfig("winnerShare");
        if (c.disputeLimit == 0 || c.disputeLimit > 90 days) revert BadConfig("disputeLimit");
        // Stake must outlive every obligation: an exit, the last window, and a dispute opened in its last second.
        uint256 longest = uint256(c.exitPeriod) + c.challengeWindow + c.disputeLimit;
        if (c.nodes.thawPeriod() <= longest) revert BadConfig("thawPeriod");
        if (address(c.court) != address(0)) {
            // A dispute must not be ended that the court can still be at, and being right must pay for all rounds.
            if (c.disputeLimit <= c.court.longest()) revert BadConfig("disputeLimit");
            if (Pricing.share(c.penalty, c.winnerShare) < c.court.highestCost()) revert BadConfig("penalty");
        }
        _court = c.court;
        _winnerShare = c.winnerShare;
        _disputeLimit = c.disputeLimit;
    }

    /// @inheritdoc IVaultReceiver
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        bytes4 selector = bytes4(data);
        if (selector == IVoucherCollectorPayments.open.selector) _open(payer, amount, data[4:]);
        else if (selector == IVoucherCollectorPayments.topUp.selector) _topUp(payer, amount, data[4:]);
        else if (selector == IVoucherCollectorPayments.challenge.selector) _challenge(payer, amount, data[4:]);
        else revert UnknownCall(selector);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc IVoucherCollector
    function closeDispute(Channel calldata channel, bytes32 subject) external nonReentrant {
        bytes32 id = Messages.hash(channel);
        ChannelDispute memory dispute = _disputes[subject];
        DisputeStatus status = dispute.status;
        if (dispute.channel != id || status == DisputeStatus.Closed) revert WrongDispute(subject, status);
        if (status == DisputeStatus.Open && block.timestamp <= dispute.until) {
            revert TooEarly(dispute.until, block.timestamp);
        }
        _disputes[subject].status = DisputeStatus.Closed;
        if (status == DisputeStatus.RuledUpheld) return _punish(id, subject, channel, dispute.courtFee);
        Account memory account = _accounts[id].unpack();
        account.status = ChannelStatus.Open;
        _accounts[id] = account.pack();
        uint256 refund = status == DisputeStatus.RuledDismissed ? 0 : _takeBack(id, account, dispute);
        emit DisputeClosed(subject, id, refund);
        if (refund != 0) vault.pay(channel.payer, refund);
    }

    /// @inheritdoc IDisputable
    function onRuling(bytes32 subject, Ruling ruling, uint256 courtFee) external {
        if (msg.sender != address(_court)) revert NotCourt(msg.sender);
        ChannelDispute storage dispute = _disputes[subject];
        // A ruling that comes too late changes nothing; it must not fail either, or the court could never close its case.
        if (dispute.status != DisputeStatus.Open) return;
        DisputeStatus status = ruling == Ruling.Upheld
            ? DisputeStatus.RuledUpheld
            : ruling == Ruling.Dismissed ? DisputeStatus.RuledDismissed : DisputeStatus.RuledUndecided;
        dispute.status = status;
        // Bound: the smaller of the two fits; no more than the penalty can be paid.
        dispute.courtFee = uint72(Math.min(courtFee, type(uint72).max));
        emit ReceiptRuled(subject, status);
    }

    /// @inheritdoc IVoucherCollector
    function receiptHash(Receipt calldata receipt) external pure returns (bytes32) {
        return Messages.hash(receipt);
    }

    /// @inheritdoc IVoucherCollector
    function disputeOf(bytes32 subject) external view returns (ChannelDispute memory) {
        return _disputes[subject];
    }

    /// @inheritdoc IVoucherCollector
    function config() external view returns (CollectorConfig memory) {
        return CollectorConfig({
            vault: vault,
            nodes: _registry,
            models: _models,
            governor: ITuningGovernor(_governor),
            court: _court,
            penalty: _penalty,
            winnerShare: _winnerShare,
            challengeWindow: _challengeWindow,
            exitPeriod: _exitPeriod,
            disputeLimit: _disputeLimit
        });
    }

    function _challenge(address payer, uint256 amount, bytes calldata data) private {
        if (address(_court) == address(0)) revert NoCourt();
        if (data.length < CHALLENGE_LENGTH) revert BadCallLength(data.length, CHALLENGE_LENGTH);
        Channel calldata channel = _channelIn(data);
        Job calldata job;
        Receipt calldata receipt;
        assembly ("memory-safe") {
            job := add(data.offset, JOB_AT)
            receipt := add(data.offset, RECEIPT_AT)
        }
        bytes32 id = Messages.hash(channel);
        bytes32 subject = Messages.hash(receipt);
        if (payer != channel.payer) revert NotPayer(payer, channel.payer);
        Account memory account = _accounts[id].unpack();
        if (account.status != ChannelStatus.Open) revert WrongStatus(id, account.status);
        if (_disputes[subject].status != DisputeStatus.None) revert WrongDispute(subject, _disputes[subject].status);
        _checkJob(id, channel, job, receipt);
        _checkReceipt(id, subject, channel, receipt, job.maxTokens, data);

        Run memory run;
        _disputes[subject] = _dispute(id, job, receipt);
        emit ReceiptChallenged(subject, id, block.timestamp + _disputeLimit);
        // What has rested is the node's, whatever becomes of this answer.
        _releaseRested(run, id, channel, account);
        _bookReceipt(id, account, channel, receipt);
        account.status = ChannelStatus.Disputed;
        _accounts[id] = account.pack();
        _flush(run);
        vault.payAndCall(address(_court), amount, _evidence(subject, job, receipt, data));
    }

    /// @dev The Job must be one of this channel's, on its terms: at other prices the answer could have been paid elsewhere, past the model's treasury.
    function _checkJob(bytes32 id, Channel calldata channel, Job calldata job, Receipt calldata receipt) private view {
        bytes32 jobHash = Messages.hash(job);
        if (
            receipt.jobHash != jobHash || job.collector != address(this) || job.channel != id
                || job.client != channel.payer || job.node != channel.payee || job.modelId != channel.modelId
                || job.inputPrice != channel.inputPrice || job.outputPrice != channel.outputPrice
                || job.modelFee != channel.modelFee
        ) revert WrongJob(jobHash);
        if (job.topP == 0 || job.topP > MILLION || job.temperature > MAX_TEMPERATURE) {
            revert BadSampling(job.temperature, job.topP);
        }
    }

    function _checkReceipt(
        bytes32 id,
        bytes32 subject,
        Channel calldata channel,
        Receipt calldata receipt,
        uint256 maxTokens,
        bytes calldata data
    ) private view {
        // No court judges what no honest node could have said; a payer must not lose its bond for showing it.
        bool sound = receipt.outputTokens != 0 && receipt.outputTokens <= maxTokens && receipt.finish <= FINISH_CUT;
        if (!sound || receipt.channel != id || receipt.node != channel.payee) revert WrongReceipt(subject);
        uint256 until = uint256(receipt.servedAt) + _challengeWindow;
        if (block.timestamp > until) revert WindowClosed(until, block.timestamp);
        (bytes32 r, bytes32 vs) = abi.decode(data[SIGNATURE_AT:], (bytes32, bytes32));
        address signer = ECDSA.recover(Messages.receiptDigest(_domain(), subject), r, vs);
        if (!_registry.wasOperator(channel.payee, signer, receipt.servedAt)) {
            revert NotReceipted(signer, channel.payee);
        }
    }

    /// @dev The receipt must owe at least what this answer costs: what is not paid for through the channel has no guarantee.
    function _dispute(bytes32 id, Job calldata job, Receipt calldata receipt)
        private
        view
        returns (ChannelDispute memory)
    {
        (uint256 price, uint256 modelFee) = Pricing.settle(
            job.promptTokens, receipt.outputTokens, job.inputPrice, job.outputPrice, job.modelFee, type(uint256).max
        );
        if (receipt.cumulativeAmount < price || receipt.cumulativeModelFee < modelFee) {
            revert PaidTooLittle(receipt.cumulativeAmount, price, receipt.cumulativeModelFee, modelFee);
        }
        // Bound: both are within the receipt's amount, which is within the deposit (see _bookReceipt), which is below 2^56.
        return ChannelDispute(id, DisputeStatus.Open, _after(_disputeLimit), uint56(price), uint56(modelFee), 0);
    }

    function _bookReceipt(bytes32 id, Account memory account, Channel calldata channel, Receipt calldata receipt)
        private
    {
        (uint256 amount, uint256 modelFee) = (receipt.cumulativeAmount, receipt.cumulativeModelFee);
        if (amount <= account.collected) return;
        if (!_bookable(account, channel, amount, modelFee)) revert NotBookable(amount, modelFee, account.deposit);
        _book(id, account, amount, modelFee);
    }

    function _evidence(bytes32 subject, Job calldata job, Receipt calldata receipt, bytes calldata data)
        private
        pure
        returns (bytes memory)
    {
        (,,,,, bytes32 secret, bytes memory prompt, bytes memory output) =
            abi.decode(data, (Channel, Job, Receipt, bytes32, bytes32, bytes32, bytes, bytes));
        return Evidence.encode(subject, job, Messages.completionOf(receipt), secret, prompt, output);
    }

    /// @dev The channel ends: all that was not released is the payer's, and of the penalty its share, after the court's.
    function _punish(bytes32 id, bytes32 subject, Channel calldata channel, uint256 courtFee) private {
        uint256 refund = _accounts[id].unpack().deposit - _released[id].unpackReleased().amount;
        emit DisputeClosed(subject, id, refund);
        _end(id, refund);
        uint256 taken = _registry.slash(channel.payee, channel.modelId, _penalty);
        uint256 won = Pricing.share(taken, _winnerShare);
        courtFee = Math.min(courtFee, won);
        emit NodePunished(subject, channel.payee, taken, won, taken - won);
        vault.pay(BURNED, taken - won);
        if (courtFee != 0) vault.pay(address(_court), courtFee);
        vault.pay(channel.payer, refund + won - courtFee);
    }

    /// @dev The price of an answer nobody could judge, as far as it still rests, and as much of the model's part as leaves no more than
    /// what rests.
    function _takeBack(bytes32 id, Account memory account, ChannelDispute memory dispute)
        private
        returns (uint256 refund)
    {
        Released memory released = _released[id].unpackReleased();
        uint256 resting = account.collected - released.amount;
        uint256 restingFee = account.modelFee - released.modelFee;
        refund = Math.min(dispute.price, resting);
        uint256 fee = Math.min(restingFee - Math.min(restingFee, dispute.modelFee), resting - refund);
        _released[id] = Released(account.collected - (resting - refund), account.modelFee - fee).pack();
    }
}
