// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Case,
    Channel,
    ChannelDispute,
    ChannelState,
    ChannelStatus,
    CollectorBase,
    CollectorConfig,
    DisputeStatus,
    ICourt,
    IVoucherCollector,
    IVoucherCollectorPayments,
    Job,
    NodeReceipt
} from "./CollectorBase.t.sol";
import {IJobEscrow} from "contracts/interfaces/IJobEscrow.sol";

contract ChallengeReceiptTest is CollectorBase {
    Channel private channel;
    bytes32 private id;
    Job private job;
    NodeReceipt private receipt;

    function setUp() public override {
        super.setUp();
        (channel, id) = opened();
        job = aJobIn(channel);
        receipt = receiptOf(job);
    }

    function refuses(bytes memory data, bytes memory error) private {
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(collector), bond, data);
    }

    function refuses(Job memory job_, NodeReceipt memory receipt_, bytes memory error) private {
        refuses(receiptChallenge(channel, job_, receipt_, operatorKey), error);
    }

    function test_opensACase() public {
        collected(channel, 1e6, 60_000);
        bytes32 subject = collector.receiptHash(receipt);
        uint256 limit = block.timestamp + DISPUTE_LIMIT;
        uint256 before = vault.balanceOf(client);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ReceiptChallenged(subject, id, limit);
        challengeReceipt(channel, job, receipt);
        assertChannel(id, ChannelStatus.Disputed);
        ChannelDispute memory d = collector.disputeOf(subject);
        assertEq(uint256(d.status), uint256(DisputeStatus.Open));
        assertEq(d.channel, id);
        assertEq(d.until, limit);
        assertEq(d.price, PAYMENT);
        assertEq(d.modelFee, FEE);
        assertEq(vault.balanceOf(client), before - court.BOND());
        assertEq(vault.balanceOf(address(court)), court.BOND());
        assertEq(held(), DEPOSIT);
        assertEq(court.lastPromptHash(), job.promptHash);
        assertEq(court.lastOutputHash(), receipt.outputHash);
    }

    function test_theCaseIsTheJobAsReceipted() public {
        bytes32 subject = challengeReceipt(channel, job, receipt);
        Case memory expected;
        expected.subject = subject;
        expected.challenger = client;
        expected.node = node;
        expected.modelId = modelId;
        expected.version = job.version;
        expected.promptTokens = job.promptTokens;
        expected.outputTokens = receipt.outputTokens;
        expected.maxTokens = job.maxTokens;
        expected.finish = receipt.finish;
        expected.seed = job.seed;
        expected.temperature = job.temperature;
        expected.topP = job.topP;
        expected.bitClass = job.bitClass;
        expected.secret = SECRET;
        assertEq(keccak256(abi.encode(court.case_())), keccak256(abi.encode(expected)));
    }

    /// @dev Who wants the guarantee pays through the channel: what the receipt owes is the node's unless it is slashed.
    function test_booksWhatTheReceiptOwes() public {
        vm.expectEmit(address(collector));
        emit IVoucherCollector.VoucherCollected(id, PAYMENT, FEE, block.timestamp + CHALLENGE_WINDOW);
        challengeReceipt(channel, job, receipt);
        ChannelState memory s = state(id);
        assertEq(s.collected, PAYMENT);
        assertEq(s.modelFee, FEE);
        assertEq(s.restUntil, block.timestamp + CHALLENGE_WINDOW);
    }

    function test_neverLowersWhatWasCollected() public {
        collected(channel, 1e6, 60_000);
        vm.warp(block.timestamp + 10);
        uint256 restUntil = state(id).restUntil;
        challengeReceipt(channel, job, receipt);
        assertEq(state(id).collected, 1e6);
        assertEq(state(id).restUntil, restUntil);
    }

    /// @dev What has rested is the node's, whatever becomes of this answer.
    function test_paysOutWhatHasRested() public {
        collected(channel, 1e6, 60_000);
        rest();
        receipt.servedAt = uint64(block.timestamp);
        challengeReceipt(channel, job, receipt);
        assertEq(vault.balanceOf(treasurer), 940_000);
        assertEq(state(id).released, 1e6);
    }

    function test_onlyThePayer() public {
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        fund(stranger, 3e6);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotPayer.selector, stranger, client));
        vault.payAndCall(address(collector), 3e6, data);
    }

    function test_withinTheWindow() public {
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        uint256 until = uint256(receipt.servedAt) + CHALLENGE_WINDOW;
        vm.warp(until + 1);
        refuses(data, abi.encodeWithSelector(IVoucherCollector.WindowClosed.selector, until, until + 1));
        vm.warp(until);
        challengeReceipt(channel, job, receipt);
    }

    /// @dev servedAt near 2^64 must not wrap round to a window that is closed, nor to an error without a name.
    function test_theFarthestFuture() public {
        receipt.servedAt = type(uint64).max;
        challengeReceipt(channel, job, receipt);
        assertChannel(id, ChannelStatus.Disputed);
    }

    function test_signedByTheOperatorOfThatTime() public {
        (, uint256 otherKey) = makeAddrAndKey("nobody");
        refuses(
            receiptChallenge(channel, job, receipt, otherKey),
            abi.encodeWithSelector(IVoucherCollector.NotReceipted.selector, makeAddr("nobody"), node)
        );
        // Changing the operator disowns nothing that was signed before...
        vm.warp(block.timestamp + 10);
        vm.prank(node);
        registry.setNode(makeAddr("next"), 0, "");
        NodeReceipt memory late = receipt;
        late.servedAt = uint64(block.timestamp + 1);
        // ... and a key that is out of office signs no more.
        refuses(job, late, abi.encodeWithSelector(IVoucherCollector.NotReceipted.selector, operator, node));
        challengeReceipt(channel, job, receipt);
    }

    function test_theJobIsOfThisChannel() public {
        for (uint256 i = 0; i < 8; ++i) {
            Job memory wrong = job;
            if (i == 0) wrong.collector = address(escrow);
            if (i == 1) wrong.channel = 0;
            if (i == 2) wrong.client = stranger;
            if (i == 3) wrong.node = stranger;
            if (i == 4) wrong.modelId += 1;
            if (i == 5) wrong.inputPrice -= 1;
            if (i == 6) wrong.outputPrice -= 1;
            if (i == 7) wrong.modelFee -= 1;
            bytes32 hash = escrow.jobHash(wrong);
            NodeReceipt memory r = receipt;
            r.jobHash = hash;
            refuses(wrong, r, abi.encodeWithSelector(IVoucherCollector.WrongJob.selector, hash));
        }
        Job memory other = job;
        other.seed += 1;
        refuses(other, receipt, abi.encodeWithSelector(IVoucherCollector.WrongJob.selector, escrow.jobHash(other)));
    }

    function test_theReceiptIsOfThisChannel() public {
        for (uint256 i = 0; i < 5; ++i) {
            NodeReceipt memory wrong = receipt;
            if (i == 0) wrong.channel = keccak256("another");
            if (i == 1) wrong.node = stranger;
            if (i == 2) wrong.outputTokens = 0;
            if (i == 3) wrong.finish = 3;
            if (i == 4) wrong.outputTokens = MAX_TOKENS + 1;
            bytes32 subject = collector.receiptHash(wrong);
            refuses(job, wrong, abi.encodeWithSelector(IVoucherCollector.WrongReceipt.selector, subject));
        }
    }

    function test_samplingThatCanBeRun() public {
        for (uint256 i = 0; i < 3; ++i) {
            Job memory wrong = job;
            if (i == 0) wrong.topP = 0;
            if (i == 1) wrong.topP = 1_000_001;
            if (i == 2) wrong.temperature = 100_000_001;
            NodeReceipt memory r = receipt;
            r.jobHash = escrow.jobHash(wrong);
            refuses(
                wrong, r, abi.encodeWithSelector(IVoucherCollector.BadSampling.selector, wrong.temperature, wrong.topP)
            );
        }
    }

    /// @dev An answer that is paid elsewhere, past the model's treasury, has no guarantee.
    function test_whatIsNotPaidHereHasNoGuarantee() public {
        NodeReceipt memory r = receipt;
        r.cumulativeAmount = PAYMENT - 1;
        refuses(
            job, r, abi.encodeWithSelector(IVoucherCollector.PaidTooLittle.selector, PAYMENT - 1, PAYMENT, FEE, FEE)
        );
        r = receipt;
        r.cumulativeModelFee = FEE - 1;
        refuses(
            job, r, abi.encodeWithSelector(IVoucherCollector.PaidTooLittle.selector, PAYMENT, PAYMENT, FEE - 1, FEE)
        );
        // Owed, but not there: the payer must put it in first.
        r = receipt;
        (r.cumulativeAmount, r.cumulativeModelFee) = (DEPOSIT + 1, DEPOSIT / 10);
        refuses(
            job, r, abi.encodeWithSelector(IVoucherCollector.NotBookable.selector, DEPOSIT + 1, DEPOSIT / 10, DEPOSIT)
        );
        vm.prank(client);
        vault.payAndCall(address(collector), 1, abi.encodeCall(IVoucherCollectorPayments.topUp, (id)));
        challengeReceipt(channel, job, r);
        assertEq(state(id).collected, DEPOSIT + 1);
    }

    function test_oneAtATime() public {
        challengeReceipt(channel, job, receipt);
        NodeReceipt memory second = receipt;
        second.outputTokens += 1;
        refuses(job, second, abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Disputed));
    }

    function test_notOfAClosedChannel() public {
        vm.prank(node);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD + CHALLENGE_WINDOW + 1);
        collector.close(channel);
        receipt.servedAt = uint64(block.timestamp);
        refuses(job, receipt, abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Closed));
    }

    /// @dev Bad evidence burns no case: everything is undone, and the payer may try again.
    function test_evidenceIsChecked() public {
        (bytes32 r, bytes32 vs) = vm.signCompact(operatorKey, digest(collector.receiptHash(receipt)));
        bytes memory prompt = maskedPrompt();
        bytes memory output = maskedOutput();
        bytes memory wrong = masked("wrong", PROMPT_TOKENS);
        refuses(
            abi.encodeCall(IVoucherCollectorPayments.challenge, (channel, job, receipt, r, vs, SECRET, wrong, output)),
            abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, keccak256(wrong), job.promptHash, wrong.length)
        );
        wrong = masked("wrong", OUTPUT_TOKENS);
        refuses(
            abi.encodeCall(IVoucherCollectorPayments.challenge, (channel, job, receipt, r, vs, SECRET, prompt, wrong)),
            abi.encodeWithSelector(IJobEscrow.WrongTokens.selector, keccak256(wrong), receipt.outputHash, wrong.length)
        );
        refuses(
            abi.encodeCall(
                IVoucherCollectorPayments.challenge, (channel, job, receipt, r, vs, bytes32(0), prompt, output)
            ),
            abi.encodeWithSelector(IJobEscrow.WrongSecret.selector, keccak256(abi.encode(bytes32(0))), job.secretHash)
        );
        assertChannel(id, ChannelStatus.Open);
        challengeReceipt(channel, job, receipt);
    }

    function test_shapeOfTheCall() public {
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        bytes memory short = new bytes(4 + 1280 + 5 * 32 - 1);
        for (uint256 i = 0; i < short.length; ++i) {
            short[i] = data[i];
        }
        refuses(short, abi.encodeWithSelector(IVoucherCollector.BadCallLength.selector, short.length - 4, 1440));
        uint256[4] memory offsets = [uint256(0), 0xffff, type(uint64).max, type(uint256).max];
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 member = 43; member < 45; ++member) {
                bytes memory bad = bytes.concat(data);
                uint256 offset = offsets[i];
                assembly ("memory-safe") {
                    mstore(add(add(bad, 36), mul(32, member)), offset)
                }
                vm.prank(client);
                vm.expectRevert();
                vault.payAndCall(address(collector), 3e6, bad);
            }
        }
        assertChannel(id, ChannelStatus.Open);
    }

    function test_saysSoWithoutACourt() public {
        CollectorConfig memory c = collectorConfig();
        c.court = ICourt(address(0));
        collector = deployCollector(c);
        provide(collector, PENALTY);
        channel.collector = address(collector);
        id = openChannel(channel);
        job = aJobIn(channel);
        refuses(job, receiptOf(job), abi.encodeWithSelector(IVoucherCollector.NoCourt.selector));
    }

    /// @dev A court that calls back while it is being paid finds the door shut.
    function test_reentrantCourt() public {
        bytes[4] memory calls = [
            abi.encodeCall(IVoucherCollector.closeDispute, (channel, collector.receiptHash(receipt))),
            abi.encodeCall(IVoucherCollector.release, (one(channel))),
            abi.encodeCall(IVoucherCollector.close, (channel)),
            abi.encodeCall(IVoucherCollector.pushModelFees, (modelId))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 snapshot = vm.snapshotState();
            court.callOnPayment(address(collector), calls[i]);
            challengeReceipt(channel, job, receipt);
            assertFalse(court.callSucceeded());
            assertEq(court.callResult(), abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.revertToState(snapshot);
        }
    }
}
