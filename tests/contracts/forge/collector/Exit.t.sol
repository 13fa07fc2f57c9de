// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Channel, ChannelState, ChannelStatus, CollectorBase, IVoucherCollector} from "./CollectorBase.t.sol";

contract ExitTest is CollectorBase {
    function test_startsTheClock() public {
        (Channel memory channel, bytes32 id) = opened();
        uint256 exitAt = block.timestamp + EXIT_PERIOD;
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ExitStarted(id, client, exitAt);
        vm.prank(client);
        collector.exit(channel);
        assertEq(state(id).exitAt, exitAt);
        assertChannel(id, ChannelStatus.Open);
        assertEq(held(), DEPOSIT);
    }

    /// @dev The payee among them: or a payer could keep its stake for ever. The session key too: the money goes to the payer in any case.
    function test_byEitherSide() public {
        address[4] memory parties = [client, signer, node, operator];
        for (uint64 i = 0; i < 4; ++i) {
            Channel memory channel = aChannel();
            channel.nonce = i;
            bytes32 id = openChannel(channel);
            vm.prank(parties[i]);
            collector.exit(channel);
            assertGt(state(id).exitAt, 0);
        }
    }

    function test_byNobodyElse() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotParty.selector, stranger, id));
        vm.prank(stranger);
        collector.exit(channel);
    }

    /// @dev Nobody can put off the end by leaving again.
    function test_once() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.prank(client);
        collector.exit(channel);
        uint256 exitAt = state(id).exitAt;
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.AlreadyExiting.selector, id, exitAt));
        vm.prank(node);
        collector.exit(channel);
    }

    function test_onlyWhatIsThere() public {
        Channel memory channel = aChannel();
        bytes32 id = collector.channelId(channel);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.None));
        vm.prank(client);
        collector.exit(channel);
    }

    function test_whileDisputed() public {
        (Channel memory channel, bytes32 id) = opened();
        disputedChannel(channel);
        vm.prank(node);
        collector.exit(channel);
        assertEq(state(id).exitAt, block.timestamp + EXIT_PERIOD);
        assertChannel(id, ChannelStatus.Disputed);
    }
}

contract CloseChannelTest is CollectorBase {
    function exited(Channel memory channel) private returns (uint256 until) {
        vm.prank(client);
        collector.exit(channel);
        until = block.timestamp + EXIT_PERIOD + CHALLENGE_WINDOW;
    }

    function test_givesEachTheirs() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 1e6, 60_000);
        uint256 before = vault.balanceOf(client);
        uint256 until = exited(channel);
        vm.warp(until + 1);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.PaymentReleased(id, 1e6, 60_000);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ChannelClosed(id, DEPOSIT - 1e6);
        vm.prank(stranger);
        collector.close(channel);
        assertEq(vault.balanceOf(client), before + DEPOSIT - 1e6);
        assertEq(vault.balanceOf(treasurer), 940_000);
        assertEq(held(), 60_000);
        assertEq(collector.feesOf(modelId), 60_000);
        assertEq(reservedByChannels(), 0);
        assertEq(provisionedOf(), 200e6);
        assertChannel(id, ChannelStatus.Closed);
        ChannelState memory s = state(id);
        assertEq(s.deposit + s.collected + s.modelFee + s.released + s.releasedModelFee + s.restUntil + s.exitAt, 0);
    }

    function provisionedOf() private view returns (uint256) {
        return registry.provisionOf(node, address(collector), modelId).amount;
    }

    function test_allCollectedAndReleased() public {
        (Channel memory channel,) = opened();
        collected(channel, DEPOSIT, DEPOSIT / 10);
        rest();
        collector.release(one(channel));
        uint256 before = vault.balanceOf(client);
        vm.warp(exited(channel) + 1);
        collector.close(channel);
        assertEq(vault.balanceOf(client), before);
        assertEq(held(), DEPOSIT / 10);
    }

    /// @dev What was collected in the exit's last second has rested, and what was served then can't be challenged any more.
    function test_notBeforeTheLastWindow() public {
        (Channel memory channel, bytes32 id) = opened();
        uint256 until = exited(channel);
        vm.warp(until - CHALLENGE_WINDOW);
        collected(channel, 1e6, 60_000);
        Channel memory copy = channel;
        vm.warp(until);
        assertLe(state(id).restUntil, until);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.TooEarly.selector, until, until));
        collector.close(copy);
        disputableUntil(channel, until - CHALLENGE_WINDOW);
    }

    function disputableUntil(Channel memory channel, uint256 servedAt) private {
        uint256 snapshot = vm.snapshotState();
        vm.warp(servedAt);
        (bytes memory data, uint256 bond) = challengeNow(channel);
        vm.warp(servedAt + CHALLENGE_WINDOW);
        vm.prank(client);
        vault.payAndCall(address(collector), bond, data);
        vm.revertToState(snapshot);
    }

    function challengeNow(Channel memory channel) private view returns (bytes memory, uint256) {
        return (receiptChallenge(channel, aJobIn(channel), receiptOf(aJobIn(channel)), operatorKey), court.BOND());
    }

    function test_onlyOfExits() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotExiting.selector, id));
        collector.close(channel);
    }

    function test_once() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.warp(exited(channel) + 1);
        collector.close(channel);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Closed));
        collector.close(channel);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Closed));
        vm.prank(client);
        collector.exit(channel);
        assertEq(collector.release(one(channel)), 0);
    }

    /// @dev Frozen while it is disputed, however late; and the exit's clock has run meanwhile.
    function test_notWhileDisputed() public {
        (Channel memory channel, bytes32 id) = opened();
        uint256 until = exited(channel);
        bytes32 subject = disputedChannel(channel);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Disputed));
        collector.close(channel);
        vm.warp(block.timestamp + DISPUTE_LIMIT);
        collector.closeDispute(channel, subject);
        collector.close(channel);
        assertChannel(id, ChannelStatus.Closed);
    }

    function testFuzz_everybodyGetsTheirs(uint128 amount, uint128 modelFee, uint128 more) public {
        amount = uint128(bound(amount, 0, DEPOSIT));
        modelFee = uint128(bound(modelFee, collector.leastModelFee(aChannel(), amount), amount));
        more = uint128(bound(more, 0, DEPOSIT - amount));
        (Channel memory channel,) = opened();
        uint256 before = vault.balanceOf(client);
        if (amount != 0) collected(channel, amount, modelFee);
        rest();
        uint256 until = exited(channel);
        if (more != 0) collected(channel, amount + more, modelFee + more);
        vm.warp(until + 1);
        collector.close(channel);
        assertEq(vault.balanceOf(client), before + DEPOSIT - amount - more);
        assertEq(vault.balanceOf(treasurer), amount - modelFee);
        assertEq(collector.feesOf(modelId), modelFee + more);
        assertEq(held(), modelFee + more);
    }
}
