// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {
    IVoucherCollector,
    Channel,
    ChannelState,
    ChannelStatus,
    Claim,
    CollectorConfig
} from "./interfaces/IVoucherCollector.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {Account, Accounts, Released} from "./libraries/Accounts.sol";
import {Messages} from "./libraries/Messages.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {VaultClient} from "./libraries/VaultClient.sol";

/// @title VoucherChannels
/// @notice Channels and their money, but for disputes. See IVoucherCollector, which is the specification.
abstract contract VoucherChannels is IVoucherCollector, VaultClient, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using Accounts for Account;
    using Accounts for Released;
    using Accounts for uint256;

    /// @dev What consecutive channels of one batch pay to one account, so that they cost one payment between them.
    struct Run {
        address payTo;
        uint64 modelId;
        uint256 payments;
        uint256 modelFees;
    }

    uint256 internal constant CHANNEL_LENGTH = Messages.CHANNEL_LENGTH;
    uint256 private constant OPEN_LENGTH = CHANNEL_LENGTH + 4 * 32;

    INodeRegistry internal immutable _registry;
    IModelRegistry internal immutable _models;
    address internal immutable _governor;
    uint72 internal immutable _penalty;
    uint40 internal immutable _challengeWindow;
    uint40 internal immutable _exitPeriod;

    /// @inheritdoc IVoucherCollector
    mapping(uint64 modelId => uint256) public feesOf;

    /// @dev See Accounts, for both.
    mapping(bytes32 channel => uint256) internal _accounts;
    mapping(bytes32 channel => uint256) internal _released;

    constructor(CollectorConfig memory c) VaultClient(c.vault) {
        if (c.nodes.vault() != c.vault) revert BadConfig("nodes");
        if (c.governor.models() != c.models || c.governor.vault() != c.vault) revert BadConfig("governor");
        if (c.penalty == 0) revert BadConfig("penalty");
        if (c.challengeWindow == 0 || c.challengeWindow > 30 days) revert BadConfig("challengeWindow");
        // A payee that is told of the exit must have a window's time to collect.
        if (c.exitPeriod <= c.challengeWindow || c.exitPeriod > 90 days) revert BadConfig("exitPeriod");
        _registry = c.nodes;
        _models = c.models;
        _governor = address(c.governor);
        _penalty = c.penalty;
        _challengeWindow = c.challengeWindow;
        _exitPeriod = c.exitPeriod;
    }

    /// @inheritdoc IVoucherCollector
    function collect(Claim[] calldata claims) external nonReentrant returns (uint256 taken) {
        Run memory run;
        // The last payee for whom the caller was found to act.
        address payee;
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata claim = claims[i];
            Channel calldata channel = claim.channel;
            // Nobody else: each collecting starts the rest anew, and a payer could put off a node's pay with ever higher vouchers.
            if (channel.payee != payee) {
                if (!_actsFor(channel.payee)) continue;
                payee = channel.payee;
            }
            bytes32 id = Messages.hash(channel);
            Account memory account = _accounts[id].unpack();
            if (account.exitAt != 0 && block.timestamp > account.exitAt) continue;
            if (!_bookable(account, channel, claim.cumulativeAmount, claim.cumulativeModelFee)) continue;
            if (!_signed(id, claim)) continue;
            _releaseRested(run, id, channel, account);
            _book(id, account, claim.cumulativeAmount, claim.cumulativeModelFee);
            _accounts[id] = account.pack();
            ++taken;
        }
        _flush(run);
    }

    /// @inheritdoc IVoucherCollector
    function release(Channel[] calldata channels) external nonReentrant returns (uint256 paid) {
        Run memory run;
        for (uint256 i = 0; i < channels.length; ++i) {
            bytes32 id = Messages.hash(channels[i]);
            if (_releaseRested(run, id, channels[i], _accounts[id].unpack())) ++paid;
        }
        _flush(run);
    }

    /// @inheritdoc IVoucherCollector
    function exit(Channel calldata channel) external nonReentrant {
        bytes32 id = Messages.hash(channel);
        if (msg.sender != channel.payer && msg.sender != channel.signer && !_actsFor(channel.payee)) {
            revert NotParty(msg.sender, id);
        }
        Account memory account = _living(id);
        if (account.exitAt != 0) revert AlreadyExiting(id, account.exitAt);
        account.exitAt = _after(_exitPeriod);
        _accounts[id] = account.pack();
        emit ExitStarted(id, msg.sender, account.exitAt);
    }

    /// @inheritdoc IVoucherCollector
    function close(Channel calldata channel) external nonReentrant {
        bytes32 id = Messages.hash(channel);
        Account memory account = _accounts[id].unpack();
        if (account.status != ChannelStatus.Open) revert WrongStatus(id, account.status);
        if (account.exitAt == 0) revert NotExiting(id);
        // The last answer that could be collected can no longer be challenged, and all that was collected has rested.
        uint256 until = account.exitAt + _challengeWindow;
        if (block.timestamp <= until) revert TooEarly(until, block.timestamp);
        Run memory run;
        _release(run, id, channel, account);
        uint256 refund = account.deposit - account.collected;
        _end(id, refund);
        _registry.release(channel.payee, channel.modelId, _penalty);
        _flush(run);
        if (refund != 0) vault.pay(channel.payer, refund);
    }

    /// @inheritdoc IVoucherCollector
    function pushModelFees(uint64 modelId) external nonReentrant returns (uint256 amount) {
        amount = feesOf[modelId];
        feesOf[modelId] = 0;
        emit ModelFeesPushed(modelId, amount);
        vault.payAndCall(_governor, amount, abi.encode(modelId));
    }

    /// @inheritdoc IVoucherCollector
    function channelId(Channel calldata channel) external pure returns (bytes32) {
        return Messages.hash(channel);
    }

    /// @inheritdoc IVoucherCollector
    function channelOf(bytes32 channel) external view returns (ChannelState memory) {
        Account memory account = _accounts[channel].unpack();
        Released memory released = _released[channel].unpackReleased();
        return ChannelState({
            status: account.status,
            deposit: account.deposit,
            collected: account.collected,
            modelFee: account.modelFee,
            released: released.amount,
            releasedModelFee: released.modelFee,
            restUntil: account.restUntil,
            exitAt: account.exitAt
        });
    }

    /// @inheritdoc IVoucherCollector
    function leastModelFee(Channel calldata channel, uint256 cumulativeAmount) external pure returns (uint256) {
        return _leastFee(channel, cumulativeAmount);
    }

    function _open(address payer, uint256 amount, bytes calldata data) internal {
        if (data.length != OPEN_LENGTH) revert BadCallLength(data.length, OPEN_LENGTH);
        Channel calldata channel = _channelIn(data);
        (uint128 deposit, uint64 expires, bytes32 r, bytes32 vs) =
            abi.decode(data[CHANNEL_LENGTH:], (uint128, uint64, bytes32, bytes32));
        _checkTerms(payer, channel);
        if (amount < deposit) revert DepositTooLow(amount, deposit);
        if (block.timestamp > expires) revert AcceptanceExpired(expires, block.timestamp);
        bytes32 id = Messages.hash(channel);
        if (_accounts[id] != 0) revert ChannelExists(id);
        address operator = ECDSA.recover(Messages.channelAcceptance(_domain(), id, deposit, expires), r, vs);
        _accounts[id] = Account(ChannelStatus.Open, amount.toUint56(), 0, 0, 0, 0).pack();
        address expected = _registry.reserve(channel.payee, channel.modelId, _penalty);
        if (operator != expected) revert NotAccepted(operator, expected);
        // Writing them all out keeps a channel out whose members have dirty high bits.
        emit ChannelOpened(id, payer, channel.payee, channel, amount);
    }

    function _topUp(address payer, uint256 amount, bytes calldata data) internal {
        bytes32 id = abi.decode(data, (bytes32));
        Account memory account = _living(id);
        account.deposit = (account.deposit + amount).toUint56();
        _accounts[id] = account.pack();
        emit ChannelToppedUp(id, payer, amount);
    }

    /// @dev Whether a voucher or receipt with these totals can follow what was collected: the total, the model's part and the node's part
    /// only rise, and the model's part is no smaller than any honest one.
    function _bookable(Account memory account, Channel calldata channel, uint256 amount, uint256 modelFee)
        internal
        pure
        returns (bool)
    {
        if (account.status != ChannelStatus.Open && account.status != ChannelStatus.Disputed) return false;
        if (amount <= account.collected || amount > account.deposit) return false;
        if (modelFee < account.modelFee || modelFee - account.modelFee > amount - account.collected) return false;
        return modelFee >= _leastFee(channel, amount);
    }

    /// @dev In memory: the caller writes the account. Only what is bookable: amount and fee lie within the deposit.
    function _book(bytes32 id, Account memory account, uint256 amount, uint256 modelFee) internal {
        account.collected = amount;
        account.modelFee = modelFee;
        account.restUntil = _after(_challengeWindow);
        emit VoucherCollected(id, amount, modelFee, account.restUntil);
    }

    function _releaseRested(Run memory run, bytes32 id, Channel calldata channel, Account memory account)
        internal
        returns (bool)
    {
        if (account.status != ChannelStatus.Open || block.timestamp <= account.restUntil) return false;
        if (account.restUntil == 0) return false;
        return _release(run, id, channel, account);
    }

    function _flush(Run memory run) internal {
        if (run.modelFees != 0) feesOf[run.modelId] += run.modelFees;
        if (run.payments != 0) vault.pay(run.payTo, run.payments);
        (run.payments, run.modelFees) = (0, 0);
    }

    /// @dev What stays says that this channel was there, and can't be opened again.
    function _end(bytes32 id, uint256 refund) internal {
        _accounts[id] = Account(ChannelStatus.Closed, 0, 0, 0, 0, 0).pack();
        delete _released[id];
        emit ChannelClosed(id, refund);
    }

    /// @dev Points into `data` in place of copying it; the caller knows that it is long enough. Dirty high bits make Solidity revert when a member
    /// is read.
    function _channelIn(bytes calldata data) internal pure returns (Channel calldata channel) {
        assembly ("memory-safe") {
            channel := data.offset
        }
    }

    /// @dev A channel that is open, disputed or not.
    function _living(bytes32 id) internal view returns (Account memory account) {
        account = _accounts[id].unpack();
        if (account.status != ChannelStatus.Open && account.status != ChannelStatus.Disputed) {
            revert WrongStatus(id, account.status);
        }
    }

    function _after(uint40 period) internal view returns (uint40) {
        return (block.timestamp + period).toUint40();
    }

    function _release(Run memory run, bytes32 id, Channel calldata channel, Account memory account)
        private
        returns (bool)
    {
        Released memory before = _released[id].unpackReleased();
        uint256 amount = account.collected - before.amount;
        if (amount == 0) return false;
        uint256 modelFee = account.modelFee - before.modelFee;
        _released[id] = Released(account.collected, account.modelFee).pack();
        if (channel.payTo != run.payTo || channel.modelId != run.modelId) {
            _flush(run);
            (run.payTo, run.modelId) = (channel.payTo, channel.modelId);
        }
        run.payments += amount - modelFee;
        run.modelFees += modelFee;
        emit PaymentReleased(id, amount, modelFee);
        return true;
    }

    function _checkTerms(address payer, Channel calldata channel) private view {
        if (payer != channel.payer) revert NotPayer(payer, channel.payer);
        if (channel.collector != address(this)) revert WrongCollector(channel.collector);
        if (channel.signer == address(0)) revert ZeroSigner();
        if (channel.payTo == address(0) || channel.payTo == address(vault)) revert BadPayTo(channel.payTo);
        if (channel.modelFee > channel.inputPrice || channel.modelFee > channel.outputPrice) {
            revert FeeAbovePrice(channel.modelFee, channel.inputPrice, channel.outputPrice);
        }
        // A model's fee is the same for all its versions, and fixed for ever.
        uint64 registered = _models.feeOf(channel.modelId, 0);
        if (channel.modelFee != registered) revert WrongModelFee(channel.modelFee, registered);
    }

    function _signed(bytes32 id, Claim calldata claim) private view returns (bool) {
        bytes32 digest = Messages.voucher(
            _domain(), id, claim.channel.payer, claim.channel.payee, claim.cumulativeAmount, claim.cumulativeModelFee
        );
        // What is no signature gives the zero address, which no channel's signer is.
        (address signer,,) = ECDSA.tryRecover(digest, claim.r, claim.vs);
        return signer == claim.channel.signer;
    }

    function _actsFor(address payee) private view returns (bool) {
        return msg.sender == payee || msg.sender == _registry.operatorOf(payee);
    }

    function _leastFee(Channel calldata channel, uint256 amount) private pure returns (uint256) {
        return Pricing.leastFee(amount, channel.inputPrice, channel.outputPrice, channel.modelFee);
    }
}
