// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, Case, Completion, ICourt, IVault, Job, Ruling} from "../Base.t.sol";
import {
    Channel,
    ChannelDispute,
    ChannelState,
    ChannelStatus,
    Claim,
    CollectorConfig,
    DisputeStatus,
    IVoucherCollector,
    IVoucherCollectorPayments,
    Receipt as NodeReceipt
} from "contracts/interfaces/IVoucherCollector.sol";

/// @notice A collector with a court double, the fixture's node staked for it, and the fixture's client as payer.
abstract contract CollectorBase is Base {
    uint40 internal constant EXIT_PERIOD = 2 hours;
    uint128 internal constant DEPOSIT = 10e6;

    IVoucherCollector internal collector;
    address internal signer;
    uint256 internal signerKey;

    function setUp() public virtual override {
        super.setUp();
        (signer, signerKey) = makeAddrAndKey("session");
        collector = deployCollector(collectorConfig());
        provide(collector, 200e6);
    }

    // --- deployment

    function collectorConfig() internal view returns (CollectorConfig memory c) {
        c.vault = vault;
        c.nodes = registry;
        c.models = models;
        c.governor = governor;
        c.court = ICourt(address(court));
        c.penalty = PENALTY;
        c.winnerShare = WINNER_SHARE;
        c.challengeWindow = CHALLENGE_WINDOW;
        c.exitPeriod = EXIT_PERIOD;
        c.disputeLimit = DISPUTE_LIMIT;
    }

    function deployCollector(CollectorConfig memory c) internal returns (IVoucherCollector) {
        return IVoucherCollector(deployCode("VoucherCollector.sol:VoucherCollector", abi.encode(c)));
    }

    function provide(IVoucherCollector to, uint256 amount) internal {
        vm.prank(node);
        registry.provision(address(to), modelId, amount);
    }

    // --- messages, with the type strings of docs/protocol.md

    function digest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", vault.domainSeparator(), structHash));
    }

    function acceptanceOf(bytes32 id, uint128 deposit, uint64 expires) internal view returns (bytes32) {
        bytes32 kind = keccak256("ChannelAcceptance(bytes32 channel,uint128 deposit,uint64 expires)");
        return digest(keccak256(abi.encode(kind, id, deposit, expires)));
    }

    function voucherOf(Channel memory channel, uint128 amount, uint128 modelFee) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "Voucher(bytes32 channel,address payer,address payee,uint128 cumulativeAmount,uint128 cumulativeModelFee)"
        );
        bytes32 id = collector.channelId(channel);
        return digest(keccak256(abi.encode(kind, id, channel.payer, channel.payee, amount, modelFee)));
    }

    // --- a channel

    function aChannel() internal view returns (Channel memory channel) {
        channel.collector = address(collector);
        channel.payer = client;
        channel.payee = node;
        channel.signer = signer;
        channel.payTo = treasurer;
        channel.modelId = modelId;
        channel.inputPrice = 50e6;
        channel.outputPrice = 200e6;
        channel.modelFee = MODEL_FEE;
        channel.nonce = 1;
    }

    function openingCall(Channel memory channel, uint128 deposit, uint64 expires, uint256 key)
        internal
        view
        returns (bytes memory)
    {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, acceptanceOf(collector.channelId(channel), deposit, expires));
        return abi.encodeCall(IVoucherCollectorPayments.open, (channel, deposit, expires, r, vs));
    }

    function openingCall(Channel memory channel) internal view returns (bytes memory) {
        return openingCall(channel, DEPOSIT, soon(), operatorKey);
    }

    function openChannel(Channel memory channel) internal returns (bytes32 id) {
        bytes memory data = openingCall(channel);
        vm.prank(channel.payer);
        vault.payAndCall(address(collector), DEPOSIT, data);
        return collector.channelId(channel);
    }

    /// @dev The fixture's channel, open.
    function opened() internal returns (Channel memory channel, bytes32 id) {
        channel = aChannel();
        id = openChannel(channel);
    }

    // --- vouchers

    function claimOf(Channel memory channel, uint128 amount, uint128 modelFee, uint256 key)
        internal
        view
        returns (Claim memory claim)
    {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, voucherOf(channel, amount, modelFee));
        return Claim(channel, amount, modelFee, r, vs);
    }

    function claimOf(Channel memory channel, uint128 amount, uint128 modelFee) internal view returns (Claim memory) {
        return claimOf(channel, amount, modelFee, signerKey);
    }

    function one(Claim memory claim) internal pure returns (Claim[] memory claims) {
        claims = new Claim[](1);
        claims[0] = claim;
    }

    function one(Channel memory channel) internal pure returns (Channel[] memory channels) {
        channels = new Channel[](1);
        channels[0] = channel;
    }

    function collect(Claim memory claim) internal returns (bool) {
        Claim[] memory claims = one(claim);
        vm.prank(operator);
        return collector.collect(claims) == 1;
    }

    function collected(Channel memory channel, uint128 amount, uint128 modelFee) internal {
        assertTrue(collect(claimOf(channel, amount, modelFee)), "not collected");
    }

    function rest() internal {
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
    }

    // --- receipts and disputes

    function aJobIn(Channel memory channel) internal view returns (Job memory job) {
        job = aJob();
        job.collector = channel.collector;
        job.channel = collector.channelId(channel);
        job.client = channel.payer;
        job.node = channel.payee;
    }

    /// @dev Of the channel's first answer: it owes what the answer costs.
    function receiptOf(Job memory job) internal view returns (NodeReceipt memory receipt) {
        receipt.jobHash = escrow.jobHash(job);
        receipt.node = job.node;
        receipt.outputHash = keccak256(maskedOutput());
        receipt.outputTokens = OUTPUT_TOKENS;
        receipt.finish = 2;
        receipt.servedAt = uint64(block.timestamp);
        receipt.payTo = treasurer;
        receipt.channel = job.channel;
        receipt.cumulativeAmount = PAYMENT;
        receipt.cumulativeModelFee = FEE;
    }

    function receiptChallenge(Channel memory channel, Job memory job, NodeReceipt memory receipt, uint256 key)
        internal
        view
        returns (bytes memory)
    {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, digest(collector.receiptHash(receipt)));
        return abi.encodeCall(
            IVoucherCollectorPayments.challenge, (channel, job, receipt, r, vs, SECRET, maskedPrompt(), maskedOutput())
        );
    }

    function challengeReceipt(Channel memory channel, Job memory job, NodeReceipt memory receipt)
        internal
        returns (bytes32 subject)
    {
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        uint256 bond = court.BOND();
        vm.prank(channel.payer);
        vault.payAndCall(address(collector), bond, data);
        return collector.receiptHash(receipt);
    }

    /// @dev Its first answer, disputed.
    function disputedChannel(Channel memory channel) internal returns (bytes32 subject) {
        Job memory job = aJobIn(channel);
        return challengeReceipt(channel, job, receiptOf(job));
    }

    // --- what everything must look like

    function state(bytes32 id) internal view returns (ChannelState memory) {
        return collector.channelOf(id);
    }

    function assertChannel(bytes32 id, ChannelStatus expected) internal view {
        assertEq(uint256(state(id).status), uint256(expected), "channel status");
    }

    function assertDispute(bytes32 subject, DisputeStatus expected) internal view {
        assertEq(uint256(collector.disputeOf(subject).status), uint256(expected), "dispute status");
    }

    function reservedByChannels() internal view returns (uint256) {
        return registry.provisionOf(node, address(collector), modelId).reserved;
    }

    function held() internal view returns (uint256) {
        return vault.balanceOf(address(collector));
    }
}
