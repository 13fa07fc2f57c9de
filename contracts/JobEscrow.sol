// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IJobEscrow, IJobEscrowPayments, EscrowConfig, Job, Completion, Status} from "./interfaces/IJobEscrow.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {ITuningGovernor} from "./interfaces/ITuningGovernor.sol";
import {ICourt} from "./interfaces/ICourt.sol";
import {IDisputable, Ruling} from "./interfaces/IDisputable.sol";
import {Evidence} from "./libraries/Evidence.sol";
import {JobWord, JobWords} from "./libraries/JobWord.sol";
import {Messages} from "./libraries/Messages.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {VaultClient} from "./libraries/VaultClient.sol";

/// @title JobEscrow
/// @notice See IJobEscrow, which is the specification.
contract JobEscrow is IJobEscrow, VaultClient, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @dev What one node earned by consecutive jobs of one batch, so that they cost one payment between them.
    struct Run {
        address payTo;
        address node;
        uint64 modelId;
        uint256 payments;
        uint256 modelFees;
        uint256 penalties;
    }

    /// @dev What the registry said of a model: its fee, and that versions below `versions` exist.
    struct KnownModel {
        uint64 fee;
        uint64 versions;
    }

    /// @dev Prompt and answer together: 64 KiB of evidence.
    uint256 private constant MAX_TOKENS = 16_384;
    uint256 private constant MILLION = 1e6;
    uint256 private constant MAX_TEMPERATURE = 100 * MILLION;
    uint256 private constant FINISH_LENGTH = 1;
    uint256 private constant JOB_LENGTH = 640;
    uint256 private constant OPEN_LENGTH = JOB_LENGTH + 3 * 32;
    uint256 private constant PAIR_LENGTH = JOB_LENGTH + Messages.COMPLETION_LENGTH;

    INodeRegistry private immutable _registry;
    IModelRegistry private immutable _models;
    address private immutable _governor;
    ICourt private immutable _court;
    uint72 private immutable _penalty;
    uint72 private immutable _missPenalty;
    uint16 private immutable _winnerShare;
    uint64 private immutable _deliveryFee;
    uint64 private immutable _deliveryFeePerToken;
    uint40 private immutable _challengeWindow;
    uint40 private immutable _deliveryWindow;
    uint40 private immutable _disputeLimit;
    uint40 private immutable _maxJobTime;

    /// @inheritdoc IJobEscrow
    mapping(uint64 modelId => uint256) public feesOf;

    mapping(bytes32 jobHash => JobWord) private _jobs;
    mapping(uint64 modelId => KnownModel) private _known;
    /// @inheritdoc IJobEscrow
    mapping(bytes32 jobHash => uint256) public courtFeeOf;

    constructor(EscrowConfig memory c) VaultClient(c.vault) {
        if (c.nodes.vault() != c.vault) revert BadConfig("nodes");
        if (c.governor.models() != c.models || c.governor.vault() != c.vault) revert BadConfig("governor");
        if (c.penalty == 0) revert BadConfig("penalty");
        if (c.missPenalty > c.penalty) revert BadConfig("missPenalty");
        if (c.winnerShare > Pricing.BASIS_POINTS / 2) revert BadConfig("winnerShare");
        if (c.challengeWindow == 0 || c.challengeWindow > 30 days) revert BadConfig("challengeWindow");
        if (c.deliveryWindow == 0 || c.deliveryWindow > 30 days) revert BadConfig("deliveryWindow");
        if (c.disputeLimit == 0 || c.disputeLimit > 90 days) revert BadConfig("disputeLimit");
        if (c.maxJobTime == 0 || c.maxJobTime > 30 days) revert BadConfig("maxJobTime");
        // Stake must outlive every obligation: two windows, a delivery and a dispute after the last moment to complete.
        uint256 longest = uint256(c.maxJobTime) + 2 * c.challengeWindow + c.deliveryWindow + c.disputeLimit;
        if (c.nodes.thawPeriod() <= longest) revert BadConfig("thawPeriod");
        // The escrow must not end a dispute that the court can still be at.
        if (address(c.court) != address(0)) {
            if (c.disputeLimit <= c.court.longest()) revert BadConfig("disputeLimit");
            // Being right must pay for all rounds; the share is at most half, so the penalty is at least twice what they cost.
            if (Pricing.share(c.penalty, c.winnerShare) < c.court.highestCost()) revert BadConfig("penalty");
        }
        _registry = c.nodes;
        _models = c.models;
        _governor = address(c.governor);
        _court = c.court;
        _penalty = c.penalty;
        _missPenalty = c.missPenalty;
        _winnerShare = c.winnerShare;
        _deliveryFee = c.deliveryFee;
        _deliveryFeePerToken = c.deliveryFeePerToken;
        _challengeWindow = c.challengeWindow;
        _deliveryWindow = c.deliveryWindow;
        _disputeLimit = c.disputeLimit;
        _maxJobTime = c.maxJobTime;
    }

    /// @inheritdoc IVaultReceiver
    /// @dev nonReentrant would refuse nothing here that the statuses don't: each verb moves the job's status before it calls out.
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external nonReentrant returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        bytes4 selector = bytes4(data);
        if (selector == IJobEscrowPayments.open.selector) _open(payer, amount, data[4:]);
        else if (selector == IJobEscrowPayments.demandDelivery.selector) _demandDelivery(payer, amount, data[4:]);
        else if (selector == IJobEscrowPayments.challenge.selector) _challenge(payer, amount, data[4:]);
        else revert UnknownCall(selector);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc IJobEscrow
    function complete(Completion calldata completion) external {
        bytes32 id = completion.jobHash;
        JobWord word = _expect(id, Status.Open);
        if (msg.sender != word.operator()) revert NotOperator(msg.sender, word.operator());
        if (block.timestamp > word.time()) revert DeadlinePassed(word.time(), block.timestamp);
        uint256 tokens = completion.outputTokens;
        uint256 most = word.maxTokens();
        uint256 finish = completion.finish;
        if (tokens == 0 || tokens > most || finish > FINISH_LENGTH || (finish == FINISH_LENGTH && tokens != most)) {
            revert BadCompletion(completion.outputTokens, most, completion.finish);
        }
        if (completion.payTo == address(0) || completion.payTo == address(vault)) revert ZeroPayTo();
        uint40 until = _after(_challengeWindow);
        _jobs[id] = JobWords.committed(Status.Completed, until, Messages.hash(completion));
        emit JobCompleted(
            id,
            completion.node,
            completion.outputHash,
            completion.outputTokens,
            completion.finish,
            completion.servedAt,
            completion.payTo
        );
    }

    /// @inheritdoc IJobEscrow
    function approve(Job calldata job, Completion calldata completion) external nonReentrant {
        bytes32 id = Messages.hash(job);
        if (msg.sender != job.client) revert NotClient(msg.sender, job.client);
        JobWord word = _committed(id, completion);
        Status status = word.status();
        if (status < Status.Completed || status > Status.Delivered) revert WrongStatus(id, status);
        _payNode(id, job, completion);
        if (status == Status.Demanded) vault.pay(BURNED, deliveryCost(completion.outputTokens));
    }

    /// @inheritdoc IJobEscrow
    function deliver(Job calldata job, Completion calldata completion, bytes calldata maskedOutput)
        external
        nonReentrant
    {
        bytes32 id = Messages.hash(job);
        JobWord word = _committed(id, completion);
        if (word.status() != Status.Demanded) revert WrongStatus(id, word.status());
        if (block.timestamp > word.time()) revert WindowClosed(word.time(), block.timestamp);
        Evidence.checkTokens(maskedOutput, completion.outputHash, completion.outputTokens);
        uint40 until = _after(_challengeWindow);
        _jobs[id] = word.moved(Status.Delivered, until);
        emit OutputDelivered(id, maskedOutput, until);
        vault.pay(BURNED, deliveryCost(completion.outputTokens));
    }

    /// @inheritdoc IJobEscrow
    function finalize(Job[] calldata jobs, Completion[] calldata completions)
        external
        nonReentrant
        returns (uint256 paid)
    {
        if (jobs.length != completions.length) revert LengthMismatch(jobs.length, completions.length);
        Run memory run;
        for (uint256 i = 0; i < jobs.length; ++i) {
            Job calldata job = jobs[i];
            Completion calldata completion = completions[i];
            bytes32 id = Messages.hash(job);
            JobWord word = _jobs[id];
            Status status = word.status();
            if (status != Status.Completed && status != Status.Delivered) continue;
            if (block.timestamp <= word.time() || !word.commits(Messages.hash(completion))) continue;
            if (completion.payTo != run.payTo || job.modelId != run.modelId || job.node != run.node) {
                _flush(run);
                run = Run(completion.payTo, job.node, job.modelId, 0, 0, 0);
            }
            _close(run, id, job, completion);
            ++paid;
        }
        _flush(run);
    }

    /// @inheritdoc IJobEscrow
    function expire(Job calldata job) external nonReentrant {
        bytes32 id = Messages.hash(job);
        JobWord word = _expect(id, Status.Open);
        if (block.timestamp <= word.time()) revert TooEarly(word.time(), block.timestamp);
        _jobs[id] = JobWords.closed();
        _refund(id, job, job.ceiling);
        (uint256 price,) = _price(job, job.maxTokens);
        _punish(id, job, _missPenalty, price);
        _registry.release(job.node, job.modelId, _penalty - _missPenalty);
    }

    /// @inheritdoc IJobEscrow
    function closeWithheld(Job calldata job, Completion calldata completion) external nonReentrant {
        bytes32 id = Messages.hash(job);
        JobWord word = _committed(id, completion);
        if (word.status() != Status.Demanded) revert WrongStatus(id, word.status());
        if (block.timestamp <= word.time()) revert TooEarly(word.time(), block.timestamp);
        _jobs[id] = JobWords.closed();
        _refund(id, job, job.ceiling + deliveryCost(completion.outputTokens));
        (uint256 price,) = _price(job, completion.outputTokens);
        _punish(id, job, _penalty, price);
    }

    /// @inheritdoc IJobEscrow
    function closeDispute(Job calldata job, Completion calldata completion) external nonReentrant {
        bytes32 id = Messages.hash(job);
        JobWord word = _committed(id, completion);
        Status status = word.status();
        if (status == Status.RuledDismissed) return _payNode(id, job, completion);
        bool upheld = status == Status.RuledUpheld;
        if (status == Status.Disputed) {
            if (block.timestamp <= word.time()) revert TooEarly(word.time(), block.timestamp);
        } else if (!upheld && status != Status.RuledUndecided) {
            revert WrongStatus(id, status);
        }
        _jobs[id] = JobWords.closed();
        _refund(id, job, job.ceiling);
        if (!upheld) return _registry.release(job.node, job.modelId, _penalty);
        uint256 won = _punish(id, job, _penalty, type(uint256).max);
        uint256 courtFee = Math.min(courtFeeOf[id], won);
        if (courtFee != 0) {
            courtFeeOf[id] = courtFee;
            vault.pay(address(_court), courtFee);
        }
        vault.pay(job.client, won - courtFee);
    }

    /// @inheritdoc IJobEscrow
    function pushModelFees(uint64 modelId) external nonReentrant returns (uint256 amount) {
        amount = feesOf[modelId];
        feesOf[modelId] = 0;
        emit ModelFeesPushed(modelId, amount);
        vault.payAndCall(_governor, amount, abi.encode(modelId));
    }

    /// @inheritdoc IDisputable
    function onRuling(bytes32 subject, Ruling ruling, uint256 courtFee) external {
        if (msg.sender != address(_court)) revert NotCourt(msg.sender);
        JobWord word = _jobs[subject];
        // A ruling that comes too late changes nothing; it must not fail either, or the court could never close its case.
        if (word.status() != Status.Disputed) return;
        Status status = ruling == Ruling.Upheld
            ? Status.RuledUpheld
            : ruling == Ruling.Dismissed ? Status.RuledDismissed : Status.RuledUndecided;
        _jobs[subject] = word.moved(status, 0);
        if (courtFee != 0 && status == Status.RuledUpheld) courtFeeOf[subject] = courtFee;
        emit JobRuled(subject, status);
    }

    /// @inheritdoc IJobEscrow
    function jobHash(Job calldata job) external pure returns (bytes32) {
        return Messages.hash(job);
    }

    /// @inheritdoc IJobEscrow
    function completionHash(Completion calldata completion) external pure returns (bytes32) {
        return Messages.hash(completion);
    }

    /// @inheritdoc IJobEscrow
    function jobStatus(bytes32 jobHash_) external view returns (Status status, uint256 until) {
        JobWord word = _jobs[jobHash_];
        return (word.status(), word.time());
    }

    /// @inheritdoc IJobEscrow
    function deliveryCost(uint256 outputTokens) public view returns (uint256) {
        return _deliveryFee + outputTokens * _deliveryFeePerToken;
    }

    /// @inheritdoc IJobEscrow
    function config() external view returns (EscrowConfig memory) {
        return EscrowConfig({
            vault: vault,
            nodes: _registry,
            models: _models,
            governor: ITuningGovernor(_governor),
            court: _court,
            penalty: _penalty,
            missPenalty: _missPenalty,
            winnerShare: _winnerShare,
            deliveryFee: _deliveryFee,
            deliveryFeePerToken: _deliveryFeePerToken,
            challengeWindow: _challengeWindow,
            deliveryWindow: _deliveryWindow,
            disputeLimit: _disputeLimit,
            maxJobTime: _maxJobTime
        });
    }

    function _open(address payer, uint256 amount, bytes calldata data) private {
        (Job calldata job, uint64 expires, bytes32 r, bytes32 vs) = _openArguments(data);
        _checkTerms(payer, amount, job);
        if (block.timestamp > expires) revert AcceptanceExpired(expires, block.timestamp);
        bytes32 id = Messages.hash(job);
        if (JobWord.unwrap(_jobs[id]) != 0) revert JobExists(id);
        address operator = ECDSA.recover(Messages.acceptance(_domain(), id, expires), r, vs);
        _jobs[id] = JobWords.open(uint256(job.deadline).toUint40(), operator, uint256(job.maxTokens).toUint16());
        address expected = _registry.reserve(job.node, job.modelId, _penalty);
        if (operator != expected) revert NotAccepted(operator, expected);
        emit JobOpened(id, job.client, job.node);
    }

    /// @dev Asks the registry once a version: a model's fee is fixed for ever, and its versions are only added to.
    function _feeOf(uint64 modelId, uint32 version) private returns (uint64 fee) {
        KnownModel storage known = _known[modelId];
        if (version < known.versions) return known.fee;
        fee = _models.feeOf(modelId, version);
        (known.fee, known.versions) = (fee, uint64(version) + 1);
    }

    function _checkTerms(address payer, uint256 amount, Job calldata job) private {
        if (payer != job.client) revert NotClient(payer, job.client);
        if (job.collector != address(this) || job.channel != 0) revert WrongCollector(job.collector, job.channel);
        if (amount != job.ceiling) revert WrongAmount(amount, job.ceiling);
        uint256 promptTokens = job.promptTokens;
        uint256 maxTokens = job.maxTokens;
        if (promptTokens == 0 || maxTokens == 0 || promptTokens + maxTokens > MAX_TOKENS) {
            revert BadTokenCount(promptTokens, maxTokens, MAX_TOKENS);
        }
        // Reading them here keeps a job out whose members have dirty high bits: it could be paid and not be challenged.
        if (job.topP == 0 || job.topP > MILLION || job.temperature > MAX_TEMPERATURE || job.seed > type(uint64).max) {
            revert BadSampling(job.temperature, job.topP);
        }
        if (job.modelFee > job.inputPrice || job.modelFee > job.outputPrice) {
            revert FeeAbovePrice(job.modelFee, job.inputPrice, job.outputPrice);
        }
        if (job.deadline < block.timestamp) revert DeadlinePassed(job.deadline, block.timestamp);
        uint256 latest = block.timestamp + _maxJobTime;
        if (job.deadline > latest) revert DeadlineTooFar(job.deadline, latest);
        (uint256 full,) =
            Pricing.settle(promptTokens, maxTokens, job.inputPrice, job.outputPrice, job.modelFee, type(uint256).max);
        // A lower ceiling would keep the node's stake bound and let the price be paid elsewhere, past the model's treasury.
        if (amount < full) revert CeilingTooLow(amount, full);
        uint64 registered = _feeOf(job.modelId, job.version);
        if (job.modelFee != registered) revert WrongModelFee(job.modelFee, registered);
    }

    function _demandDelivery(address payer, uint256 amount, bytes calldata data) private {
        (Job calldata job, Completion calldata completion) = _jobArguments(data);
        bytes32 id = Messages.hash(job);
        if (payer != job.client) revert NotClient(payer, job.client);
        JobWord word = _committed(id, completion);
        if (word.status() != Status.Completed) revert WrongStatus(id, word.status());
        if (block.timestamp > word.time()) revert WindowClosed(word.time(), block.timestamp);
        uint256 cost = deliveryCost(completion.outputTokens);
        if (amount != cost) revert WrongAmount(amount, cost);
        uint40 until = _after(_deliveryWindow);
        _jobs[id] = word.moved(Status.Demanded, until);
        emit DeliveryDemanded(id, until);
    }

    function _challenge(address payer, uint256 amount, bytes calldata data) private {
        if (address(_court) == address(0)) revert NoCourt();
        (Job calldata job, Completion calldata completion) = _jobArguments(data);
        bytes32 id = Messages.hash(job);
        if (payer != job.client) revert NotClient(payer, job.client);
        JobWord word = _committed(id, completion);
        Status status = word.status();
        if (status != Status.Completed && status != Status.Delivered) revert WrongStatus(id, status);
        if (block.timestamp > word.time()) revert WindowClosed(word.time(), block.timestamp);
        uint40 until = _after(_disputeLimit);
        _jobs[id] = word.moved(Status.Disputed, until);
        emit JobChallenged(id, until);
        vault.payAndCall(address(_court), amount, _evidence(id, job, completion, data));
    }

    function _evidence(bytes32 id, Job calldata job, Completion calldata completion, bytes calldata data)
        private
        pure
        returns (bytes memory)
    {
        (,, bytes32 secret, bytes memory prompt, bytes memory output) =
            abi.decode(data, (Job, Completion, bytes32, bytes, bytes));
        return Evidence.encode(id, job, completion, secret, prompt, output);
    }

    /// @dev Pays the node as it claimed, the model its fee, and the client the rest.
    function _payNode(bytes32 id, Job calldata job, Completion calldata completion) private {
        Run memory run = Run(completion.payTo, job.node, job.modelId, 0, 0, 0);
        _close(run, id, job, completion);
        _flush(run);
    }

    function _close(Run memory run, bytes32 id, Job calldata job, Completion calldata completion) private {
        _jobs[id] = JobWords.closed();
        (uint256 payment, uint256 modelFee) = _price(job, completion.outputTokens);
        run.payments += payment - modelFee;
        run.modelFees += modelFee;
        run.penalties += _penalty;
        emit JobPaid(id, payment, modelFee);
        uint256 rest = job.ceiling - payment;
        if (rest != 0) vault.pay(job.client, rest);
    }

    function _flush(Run memory run) private {
        if (run.penalties == 0) return;
        if (run.modelFees != 0) feesOf[run.modelId] += run.modelFees;
        _registry.release(run.node, run.modelId, run.penalties);
        if (run.payments != 0) vault.pay(run.payTo, run.payments);
    }

    function _refund(bytes32 id, Job calldata job, uint256 amount) private {
        emit JobRefunded(id, amount);
        vault.pay(job.client, amount);
    }

    /// @dev Slashes, and burns all but the winner's share, which is at most `cap`. For a miss or a withheld answer the cap is the answer's
    /// price: were more to be won, a client would gain by an honest node's accident and bring it about. The client gets its share
    /// here, except with an upheld dispute, where the court takes its part first.
    function _punish(bytes32 id, Job calldata job, uint256 penalty, uint256 cap) private returns (uint256 won) {
        uint256 taken = _registry.slash(job.node, job.modelId, penalty);
        won = Math.min(Pricing.share(taken, _winnerShare), cap);
        emit NodePunished(id, job.node, taken, won, taken - won);
        vault.pay(BURNED, taken - won);
        if (cap != type(uint256).max) vault.pay(job.client, won);
    }

    function _price(Job calldata job, uint256 outputTokens) private pure returns (uint256 payment, uint256 modelFee) {
        return
            Pricing.settle(job.promptTokens, outputTokens, job.inputPrice, job.outputPrice, job.modelFee, job.ceiling);
    }

    function _expect(bytes32 id, Status expected) private view returns (JobWord word) {
        word = _jobs[id];
        if (word.status() != expected) revert WrongStatus(id, word.status());
    }

    /// @dev The word of a job that has been completed by just this completion.
    function _committed(bytes32 id, Completion calldata completion) private view returns (JobWord word) {
        word = _jobs[id];
        Status status = word.status();
        if (status < Status.Completed || status == Status.Final) revert WrongStatus(id, status);
        if (!word.commits(Messages.hash(completion))) revert WrongCompletion(id);
    }

    /// @dev Points into `data` in place of copying it. All members are static, so the layout is fixed; dirty high bits make
    /// Solidity revert when the member is read.
    function _openArguments(bytes calldata data)
        private
        pure
        returns (Job calldata job, uint64 expires, bytes32 r, bytes32 vs)
    {
        if (data.length != OPEN_LENGTH) revert BadCallLength(data.length, OPEN_LENGTH);
        assembly ("memory-safe") {
            job := data.offset
        }
        (expires, r, vs) = abi.decode(data[JOB_LENGTH:], (uint64, bytes32, bytes32));
    }

    function _jobArguments(bytes calldata data)
        private
        pure
        returns (Job calldata job, Completion calldata completion)
    {
        if (data.length < PAIR_LENGTH) {
            revert BadCallLength(data.length, PAIR_LENGTH);
        }
        assembly ("memory-safe") {
            job := data.offset
            completion := add(data.offset, JOB_LENGTH)
        }
    }

    function _after(uint40 window) private view returns (uint40) {
        return (block.timestamp + window).toUint40();
    }
}
