// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Channel, ChannelState, Claim, CollectorBase, IVault, IVoucherCollector} from "./CollectorBase.t.sol";

contract ReleaseChannelsTest is CollectorBase {
    function test_afterTheRest() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 1e6, 60_000);
        vm.warp(state(id).restUntil);
        assertEq(collector.release(one(channel)), 0);
        vm.warp(block.timestamp + 1);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.PaymentReleased(id, 1e6, 60_000);
        vm.prank(stranger);
        assertEq(collector.release(one(channel)), 1);
        assertEq(vault.balanceOf(treasurer), 940_000);
        assertEq(collector.feesOf(modelId), 60_000);
        assertEq(held(), DEPOSIT - 940_000);
        assertEq(state(id).released, 1e6);
        assertEq(state(id).releasedModelFee, 60_000);
        // The penalty stays reserved: the channel is still open.
        assertEq(reservedByChannels(), PENALTY);
    }

    function test_once() public {
        (Channel memory channel,) = opened();
        collected(channel, 1e6, 60_000);
        rest();
        Channel[] memory both = new Channel[](2);
        (both[0], both[1]) = (channel, channel);
        assertEq(collector.release(both), 1);
        assertEq(collector.release(both), 0);
        assertEq(vault.balanceOf(treasurer), 940_000);
    }

    function test_nothingToRelease() public {
        (Channel memory channel,) = opened();
        assertEq(collector.release(one(channel)), 0);
        channel.nonce = 77;
        assertEq(collector.release(one(channel)), 0);
        assertEq(collector.release(new Channel[](0)), 0);
    }

    /// @dev Unready ones are passed over; consecutive ones of one account are paid at once.
    function test_manyInOneCall() public {
        vm.prank(trainer);
        (uint64 second,) = models.register("second", "S", MANIFEST, MODEL_FEE, SUPPLY);
        vm.prank(node);
        registry.provision(address(collector), second, PENALTY);
        Channel[] memory channels = new Channel[](5);
        for (uint64 i = 0; i < 5; ++i) {
            channels[i] = aChannel();
            channels[i].nonce = i;
            if (i == 3) channels[i].payTo = stranger;
            if (i == 4) channels[i].modelId = second;
            openChannel(channels[i]);
            if (i != 1) collected(channels[i], uint128(1e6 + i), 60_000);
        }
        rest();
        vm.expectEmit(address(vault));
        emit IVault.Paid(address(collector), treasurer, 2 * 940_000 + 2);
        vm.expectEmit(address(vault));
        emit IVault.Paid(address(collector), stranger, 940_003);
        vm.expectEmit(address(vault));
        emit IVault.Paid(address(collector), treasurer, 940_004);
        assertEq(collector.release(channels), 4);
        assertEq(collector.feesOf(modelId), 180_000);
        assertEq(collector.feesOf(second), 60_000);
    }

    /// @dev All for the model: the node's part is nothing, and no payment is made.
    function test_allForTheModel() public {
        (Channel memory channel,) = opened();
        collected(channel, 1e6, 1e6);
        rest();
        assertEq(collector.release(one(channel)), 1);
        assertEq(vault.balanceOf(treasurer), 0);
        assertEq(collector.feesOf(modelId), 1e6);
    }

    function test_whileExiting() public {
        (Channel memory channel,) = opened();
        collected(channel, 1e6, 60_000);
        vm.prank(client);
        collector.exit(channel);
        rest();
        assertEq(collector.release(one(channel)), 1);
    }
}

contract PushChannelFeesTest is CollectorBase {
    function test_toTheTreasury() public {
        (Channel memory channel,) = opened();
        collected(channel, 1e6, 60_000);
        rest();
        collector.release(one(channel));
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ModelFeesPushed(modelId, 60_000);
        vm.prank(stranger);
        assertEq(collector.pushModelFees(modelId), 60_000);
        assertEq(governor.treasuryOf(modelId), 60_000);
        assertEq(collector.feesOf(modelId), 0);
        assertEq(collector.pushModelFees(modelId), 0);
        assertEq(held(), DEPOSIT - 1e6);
    }
}
