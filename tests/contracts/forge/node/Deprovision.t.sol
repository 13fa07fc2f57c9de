// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, Provision} from "../Base.t.sol";

contract DeprovisionTest is Base {
    function setUp() public override {
        super.setUp();
        vm.prank(node);
        registry.thaw(address(escrow), modelId, 120e6);
    }

    function test_makesThawedStakeIdle() public {
        vm.warp(block.timestamp + THAW);
        uint256 idle = registry.idleOf(node);
        vm.expectEmit(address(registry));
        emit INodeRegistry.Deprovisioned(node, address(escrow), modelId, 120e6);
        vm.prank(node);
        assertEq(registry.deprovision(address(escrow), modelId), 120e6);
        assertEq(registry.idleOf(node), idle + 120e6);
        Provision memory p = registry.provisionOf(node, address(escrow), modelId);
        assertEq(p.amount, 380e6);
        assertEq(p.thawing, 0);
        assertEq(registry.providerCount(address(escrow), modelId), 1);
    }

    function test_notASecondTooEarly() public {
        uint256 thawedAt = block.timestamp + THAW;
        vm.warp(thawedAt - 1);
        vm.prank(node);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StillThawing.selector, thawedAt, thawedAt - 1));
        registry.deprovision(address(escrow), modelId);
    }

    function test_notTwice() public {
        vm.warp(block.timestamp + THAW);
        vm.startPrank(node);
        registry.deprovision(address(escrow), modelId);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NothingThawing.selector, node, address(escrow), modelId));
        registry.deprovision(address(escrow), modelId);
    }

    function test_nobodyElses() public {
        vm.warp(block.timestamp + THAW);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NothingThawing.selector, stranger, address(escrow), modelId)
        );
        registry.deprovision(address(escrow), modelId);
    }

    /// @dev A slash never takes what is thawing: it was not reserved, so it backs nothing.
    function test_slashLeavesWhatThaws() public {
        vm.startPrank(address(escrow));
        registry.reserve(node, modelId, 380e6);
        assertEq(registry.slash(node, modelId, type(uint256).max), 380e6);
        vm.stopPrank();
        vm.warp(block.timestamp + THAW);
        vm.prank(node);
        assertEq(registry.deprovision(address(escrow), modelId), 120e6);
        assertEq(registry.provisionOf(node, address(escrow), modelId).amount, 0);
    }

    function test_theLastUnitTakesTheNodeOffTheList() public {
        vm.prank(node);
        registry.thaw(address(escrow), modelId, 380e6);
        vm.warp(block.timestamp + THAW);
        vm.prank(node);
        registry.deprovision(address(escrow), modelId);
        assertEq(registry.providerCount(address(escrow), modelId), 0);
    }
}
