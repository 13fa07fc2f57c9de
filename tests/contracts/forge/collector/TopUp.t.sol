// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Channel,
    ChannelStatus,
    CollectorBase,
    IVoucherCollector,
    IVoucherCollectorPayments
} from "./CollectorBase.t.sol";

contract TopUpTest is CollectorBase {
    function topUp(address payer, bytes32 id, uint256 amount) private {
        vm.prank(payer);
        vault.payAndCall(address(collector), amount, abi.encodeCall(IVoucherCollectorPayments.topUp, (id)));
    }

    function test_raisesTheDeposit() public {
        (Channel memory channel, bytes32 id) = opened();
        assertFalse(collect(claimOf(channel, DEPOSIT + 1, DEPOSIT / 2)));
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ChannelToppedUp(id, client, 5e6);
        topUp(client, id, 5e6);
        assertEq(state(id).deposit, DEPOSIT + 5e6);
        assertEq(held(), DEPOSIT + 5e6);
        collected(channel, DEPOSIT + 1, DEPOSIT / 2);
    }

    /// @dev What a stranger puts in is the payer's, and moves no clock.
    function test_byAnyone() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.prank(client);
        collector.exit(channel);
        uint256 exitAt = state(id).exitAt;
        fund(stranger, 1e6);
        topUp(stranger, id, 1e6);
        assertEq(state(id).exitAt, exitAt);
        uint256 before = vault.balanceOf(client);
        vm.warp(exitAt + CHALLENGE_WINDOW + 1);
        collector.close(channel);
        assertEq(vault.balanceOf(client), before + DEPOSIT + 1e6);
    }

    function test_whileDisputed() public {
        (Channel memory channel, bytes32 id) = opened();
        disputedChannel(channel);
        topUp(client, id, 1);
        assertEq(state(id).deposit, DEPOSIT + 1);
        assertChannel(id, ChannelStatus.Disputed);
    }

    function test_onlyWhatIsThere() public {
        bytes32 id = collector.channelId(aChannel());
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.None));
        this.tryTopUp(id, 1);
        (Channel memory channel,) = opened();
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + 1 days);
        collector.close(channel);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.WrongStatus.selector, id, ChannelStatus.Closed));
        this.tryTopUp(id, 1);
    }

    function tryTopUp(bytes32 id, uint256 amount) external {
        topUp(client, id, amount);
    }

    function test_neverAboveWhatFits() public {
        (, bytes32 id) = opened();
        fund(client, type(uint56).max);
        vm.expectRevert();
        this.tryTopUp(id, type(uint56).max - DEPOSIT + 1);
        topUp(client, id, type(uint56).max - DEPOSIT);
        assertEq(state(id).deposit, type(uint56).max);
    }
}
