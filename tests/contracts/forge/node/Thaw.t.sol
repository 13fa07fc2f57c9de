// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, Provision} from "../Base.t.sol";

contract ThawTest is Base {
    function thaw(uint256 amount) private {
        vm.prank(node);
        registry.thaw(address(escrow), modelId, amount);
    }

    function test_startsTheClock() public {
        vm.expectEmit(address(registry));
        emit INodeRegistry.ThawStarted(node, address(escrow), modelId, 100e6, block.timestamp + THAW);
        thaw(100e6);
        Provision memory p = registry.provisionOf(node, address(escrow), modelId);
        assertEq(p.amount, 500e6);
        assertEq(p.thawing, 100e6);
        assertEq(p.thawedAt, block.timestamp + THAW);
    }

    function test_aSecondCallStartsAnew() public {
        thaw(100e6);
        vm.warp(block.timestamp + THAW - 1);
        thaw(1e6);
        Provision memory p = registry.provisionOf(node, address(escrow), modelId);
        assertEq(p.thawing, 101e6);
        assertEq(p.thawedAt, block.timestamp + THAW);
    }

    function testFuzz_neverMoreThanAvailable(uint256 reserved, uint256 amount) public {
        reserved = bound(reserved, 0, 500e6);
        vm.prank(address(escrow));
        registry.reserve(node, modelId, reserved);
        uint256 available = 500e6 - reserved;
        if (amount > available) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    INodeRegistry.InsufficientProvision.selector, node, address(escrow), modelId, available, amount
                )
            );
        }
        thaw(amount);
    }

    /// @dev What thaws can't be promised to a new client.
    function test_thawingStakeBacksNoJob() public {
        thaw(500e6 - PENALTY);
        open(aJob());
        vm.prank(node);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InsufficientProvision.selector, node, address(escrow), modelId, 0, 1)
        );
        registry.thaw(address(escrow), modelId, 1);
    }
}
