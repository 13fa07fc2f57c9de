// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Base, INodeRegistry, Provision} from "../Base.t.sol";

contract ProvisionTest is Base {
    address private module = makeAddr("module");

    function test_assignsIdleStake() public {
        uint256 idle = registry.idleOf(node);
        vm.expectEmit(address(registry));
        emit INodeRegistry.Provisioned(node, module, modelId, 30e6);
        vm.prank(node);
        registry.provision(module, modelId, 30e6);
        assertEq(registry.idleOf(node), idle - 30e6);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.amount, 30e6);
        assertEq(p.reserved, 0);
        assertEq(p.thawing, 0);
    }

    function test_addsUp() public {
        vm.startPrank(node);
        registry.provision(module, modelId, 30e6);
        registry.provision(module, modelId, 12e6);
        assertEq(registry.provisionOf(node, module, modelId).amount, 42e6);
        assertEq(registry.providerCount(module, modelId), 1);
    }

    function test_modulesAndModelsAreApart() public {
        vm.startPrank(node);
        registry.provision(module, modelId, 30e6);
        registry.provision(module, modelId + 1, 12e6);
        assertEq(registry.provisionOf(node, module, modelId).amount, 30e6);
        assertEq(registry.provisionOf(node, module, modelId + 1).amount, 12e6);
        assertEq(registry.provisionOf(node, address(escrow), modelId).amount, 500e6);
    }

    function testFuzz_neverMoreThanIdle(uint256 amount) public {
        uint256 idle = registry.idleOf(node);
        vm.prank(node);
        if (amount > idle) {
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InsufficientStake.selector, node, idle, amount));
        }
        registry.provision(module, modelId, amount);
        uint256 moved = amount > idle ? 0 : amount;
        assertEq(registry.idleOf(node), idle - moved);
        assertEq(registry.provisionOf(node, module, modelId).amount, moved);
    }

    function test_refusesMoreThanAWordHolds() public {
        uint256 amount = uint256(type(uint72).max) + 1;
        stake(node, amount);
        vm.prank(node);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 72, amount));
        registry.provision(module, modelId, amount);
    }

    function test_listsItsProviders() public {
        address[] memory found = registry.providers(address(escrow), modelId, 0, 10);
        assertEq(found.length, 1);
        assertEq(found[0], node);
        vm.prank(stranger);
        registry.provision(address(escrow), modelId, 0);
        assertEq(registry.providerCount(address(escrow), modelId), 1);

        vm.prank(stranger);
        registry.setNode(operator, 0, "");
        stake(stranger, 1);
        vm.prank(stranger);
        registry.provision(address(escrow), modelId, 1);
        assertEq(registry.providerCount(address(escrow), modelId), 2);
        found = registry.providers(address(escrow), modelId, 1, 2);
        assertEq(found.length, 1);
        assertEq(found[0], stranger);
        assertEq(registry.providers(address(escrow), modelId, 5, 9).length, 0);
    }
}
