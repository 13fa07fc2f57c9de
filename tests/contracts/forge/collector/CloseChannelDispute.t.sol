// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Channel,
    ChannelDispute,
    ChannelState,
    ChannelStatus,
    CollectorBase,
    DisputeStatus,
    IVoucherCollector,
    Job,
    NodeReceipt,
    Ruling
} from "./CollectorBase.t.sol";

contract CloseChannelDisputeTest is CollectorBase {
    Channel private channel;
    bytes32 private id;
    uint256 private before;

    function setUp() public override {
        super.setUp();
        before = vault.balanceOf(client) - court.BOND();
        (channel, id) = opened();
    }

    function ruled(Ruling ruling, uint256 courtFee) private returns (bytes32 subject) {
        subject = disputedChannel(channel);
        court.rule(collector, subject, ruling, courtFee);
    }

    function close(bytes32 subject) private {
        vm.prank(stranger);
        collector.closeDispute(channel, subject);
        assertDispute(subject, DisputeStatus.Closed);
    }

    function test_upheld() public {
        collected(channel, 1e6, 60_000);
        rest();
        collector.release(one(channel));
        collected(channel, 3e6, 180_000);
        bytes32 subject = ruled(Ruling.Upheld, 0);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.DisputeClosed(subject, id, DEPOSIT - 1e6);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ChannelClosed(id, DEPOSIT - 1e6);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.NodePunished(subject, node, PENALTY, 8e6, 12e6);
        close(subject);
        // All that was not released, resting or not, and 40 % of the penalty.
        assertEq(vault.balanceOf(client), before - 1e6 + 8e6);
        assertEq(vault.balanceOf(BURNED), 12e6);
        assertEq(vault.balanceOf(treasurer), 940_000);
        assertEq(held(), 60_000);
        assertEq(collector.feesOf(modelId), 60_000);
        assertEq(reservedByChannels(), 0);
        assertEq(registry.provisionOf(node, address(collector), modelId).amount, 200e6 - PENALTY);
        assertChannel(id, ChannelStatus.Closed);
        assertFalse(collect(claimOf(channel, 4e6, 240_000)));
    }

    /// @dev One channel's penalty, whatever else the node has at stake.
    function test_upheldLeavesOtherChannelsAlone() public {
        Channel memory other = aChannel();
        other.nonce = 2;
        bytes32 otherId = openChannel(other);
        collected(other, 1e6, 60_000);
        close(ruled(Ruling.Upheld, 0));
        assertEq(reservedByChannels(), PENALTY);
        assertChannel(otherId, ChannelStatus.Open);
        assertEq(held(), DEPOSIT);
        rest();
        assertEq(collector.release(one(other)), 1);
    }

    function test_dismissed() public {
        bytes32 subject = ruled(Ruling.Dismissed, 1e6);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.DisputeClosed(subject, id, 0);
        close(subject);
        assertChannel(id, ChannelStatus.Open);
        assertEq(reservedByChannels(), PENALTY);
        rest();
        assertEq(collector.release(one(channel)), 1);
        // The node has its price although no voucher was ever signed.
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
        assertEq(vault.balanceOf(client), before - DEPOSIT);
        assertEq(vault.balanceOf(address(court)), court.BOND());
        collected(channel, 1e6, 60_000);
    }

    function test_undecided() public {
        collected(channel, 1e6, 60_000);
        bytes32 subject = ruled(Ruling.Undecided, 1e6);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.DisputeClosed(subject, id, PAYMENT);
        close(subject);
        // The answer's price back, no slash; the rest goes on.
        assertEq(vault.balanceOf(client), before - DEPOSIT + PAYMENT);
        assertEq(held(), DEPOSIT - PAYMENT);
        assertEq(reservedByChannels(), PENALTY);
        ChannelState memory s = state(id);
        assertEq(s.released, PAYMENT);
        assertEq(s.releasedModelFee, FEE);
        rest();
        collector.release(one(channel));
        assertEq(vault.balanceOf(treasurer), 1e6 - 60_000 - (PAYMENT - FEE));
        assertEq(collector.feesOf(modelId), 60_000 - FEE);
        collected(channel, DEPOSIT, 600_000);
        rest();
        collector.release(one(channel));
        assertEq(held(), collector.feesOf(modelId));
        assertEq(collector.feesOf(modelId), 600_000 - FEE);
    }

    /// @dev Of a prompt that was paid for long before, the part that was released stays released.
    function test_undecidedTakesBackOnlyWhatRests() public {
        collected(channel, 2300, 460);
        rest();
        collector.release(one(channel));
        Job memory job = aJobIn(channel);
        bytes32 subject = challengeReceipt(channel, job, receiptOf(job));
        vm.warp(block.timestamp + DISPUTE_LIMIT + 1);
        close(subject);
        assertEq(vault.balanceOf(client), before - DEPOSIT + 1000);
        assertEq(state(id).released, PAYMENT);
        assertEq(state(id).releasedModelFee, FEE);
        assertEq(held(), DEPOSIT - 2300 - 1000 + 460);
    }

    function test_aSilentCourtEndsUndecided() public {
        bytes32 subject = disputedChannel(channel);
        uint256 until = block.timestamp + DISPUTE_LIMIT;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.TooEarly.selector, until, until));
        collector.closeDispute(channel, subject);
        vm.warp(until + 1);
        close(subject);
        assertEq(vault.balanceOf(client), before - DEPOSIT + PAYMENT);
        assertEq(reservedByChannels(), PENALTY);
        assertChannel(id, ChannelStatus.Open);
    }

    function test_notTwice() public {
        bytes32 subject = ruled(Ruling.Dismissed, 0);
        close(subject);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongDispute.selector, subject, DisputeStatus.Closed));
        collector.closeDispute(channel, subject);
    }

    function test_ofThisChannel() public {
        Channel memory other = aChannel();
        other.nonce = 2;
        openChannel(other);
        bytes32 subject = ruled(Ruling.Upheld, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IVoucherCollector.WrongDispute.selector, subject, DisputeStatus.RuledUpheld)
        );
        collector.closeDispute(other, subject);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongDispute.selector, bytes32(0), DisputeStatus.None));
        collector.closeDispute(other, 0);
    }

    /// @dev Each receipt once; another receipt of the channel still can be.
    function test_aReceiptOnce() public {
        bytes32 subject = ruled(Ruling.Dismissed, 0);
        close(subject);
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongDispute.selector, subject, DisputeStatus.Closed));
        vault.payAndCall(address(collector), bond, data);
        receipt.finish = 0;
        challengeReceipt(channel, job, receipt);
    }

    /// @dev A ruling that comes after the limit must not be taken for one of the next dispute.
    function test_lateRulings() public {
        bytes32 first = disputedChannel(channel);
        vm.warp(block.timestamp + DISPUTE_LIMIT + 1);
        close(first);
        court.rule(collector, first, Ruling.Upheld, 0);
        assertDispute(first, DisputeStatus.Closed);
        bytes32 second = disputedChannel(channel);
        assertTrue(first != second);
        court.rule(collector, first, Ruling.Upheld, 0);
        assertDispute(second, DisputeStatus.Open);
        court.rule(collector, second, Ruling.Dismissed, 0);
        court.rule(collector, second, Ruling.Upheld, 0);
        assertDispute(second, DisputeStatus.RuledDismissed);
    }

    function test_onlyTheCourtRules() public {
        bytes32 subject = disputedChannel(channel);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotCourt.selector, client));
        vm.prank(client);
        collector.onRuling(subject, Ruling.Upheld, 0);
        court.rule(collector, keccak256("nothing"), Ruling.Upheld, 0);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ReceiptRuled(subject, DisputeStatus.RuledUndecided);
        court.rule(collector, subject, Ruling.None, 0);
    }

    /// @dev The court is paid without being called: one that refuses money can't keep a payer from its refund.
    function test_theCourtIsNotCalled() public {
        bytes32 subject = ruled(Ruling.Upheld, 1e6);
        vm.etch(address(court), hex"fe");
        close(subject);
        assertEq(vault.balanceOf(address(court)), 3e6 + 1e6);
        assertEq(vault.balanceOf(client), before + 8e6 - 1e6);
    }

    /// @dev The court is paid within the winner's share, whatever it asks for.
    function testFuzz_theCourtsFeeIsCapped(uint256 courtFee) public {
        bytes32 subject = ruled(Ruling.Upheld, courtFee);
        close(subject);
        uint256 fee = courtFee < 8e6 ? courtFee : 8e6;
        assertEq(vault.balanceOf(address(court)), 3e6 + fee);
        assertEq(vault.balanceOf(client), before + 8e6 - fee);
        assertEq(vault.balanceOf(BURNED), 12e6);
    }

    /// @dev Whatever was collected and released before: an undecided dispute gives back no more than rests, and nothing is lost.
    function testFuzz_undecided(uint128 first, uint128 firstFee, uint128 second, uint128 secondFee) public {
        first = uint128(bound(first, 1, DEPOSIT - PAYMENT));
        firstFee = uint128(bound(firstFee, collector.leastModelFee(channel, first), first));
        second = uint128(bound(second, first + 1, DEPOSIT));
        uint256 least = collector.leastModelFee(channel, second);
        secondFee = uint128(bound(secondFee, least > firstFee ? least : firstFee, firstFee + second - first));
        collected(channel, first, firstFee);
        rest();
        collected(channel, second, secondFee);
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        if (second < PAYMENT) {
            uint128 fee = secondFee > FEE ? secondFee : FEE;
            if (fee - secondFee > PAYMENT - second) return;
            receipt.cumulativeModelFee = fee;
        }
        bytes32 subject = challengeReceipt(channel, job, receipt);
        ChannelState memory s = state(id);
        uint256 resting = s.collected - s.released;
        vm.warp(block.timestamp + DISPUTE_LIMIT + 1);
        uint256 clientHad = vault.balanceOf(client);
        collector.closeDispute(channel, subject);
        uint256 refund = resting < PAYMENT ? resting : PAYMENT;
        assertEq(vault.balanceOf(client), clientHad + refund);
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD + CHALLENGE_WINDOW + 1);
        collector.close(channel);
        assertEq(held(), collector.feesOf(modelId));
        assertEq(vault.balanceOf(treasurer) + collector.feesOf(modelId), s.collected - refund);
        assertLe(collector.feesOf(modelId), s.modelFee);
    }
}
