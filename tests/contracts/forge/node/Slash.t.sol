// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Base, INodeRegistry, IVault, Provision} from "../Base.t.sol";

contract SlashTest is Base {
    address private module = makeAddr("module");

    function setUp() public override {
        super.setUp();
        vm.prank(node);
        registry.provision(module, modelId, 100e6);
    }

    function test_paysTheModule() public {
        vm.startPrank(module);
        registry.reserve(node, modelId, 60e6);
        vm.expectEmit(address(registry));
        emit INodeRegistry.Slashed(node, module, modelId, 25e6);
        vm.expectEmit(address(vault));
        emit IVault.Paid(address(registry), module, 25e6);
        assertEq(registry.slash(node, modelId, 25e6), 25e6);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.amount, 75e6);
        assertEq(p.reserved, 35e6);
        assertEq(vault.balanceOf(module), 25e6);
    }

    /// @dev Clamped to what was reserved, so never more than the provision, and it never reverts.
    function testFuzz_takesAtMostWhatWasReserved(uint256 thawing, uint256 reserved, uint256 amount) public {
        thawing = bound(thawing, 0, 100e6);
        reserved = bound(reserved, 0, 100e6 - thawing);
        uint256 idle = registry.idleOf(node);
        uint256 elsewhere = provisionedBy(node);
        vm.prank(node);
        registry.thaw(module, modelId, thawing);
        vm.startPrank(module);
        registry.reserve(node, modelId, reserved);
        uint256 taken = registry.slash(node, modelId, amount);
        assertEq(taken, Math.min(reserved, amount));
        assertEq(vault.balanceOf(module), taken);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.amount, 100e6 - taken);
        assertEq(p.reserved, reserved - taken);
        assertEq(p.thawing, thawing);
        assertEq(registry.idleOf(node), idle);
        assertEq(provisionedBy(node), elsewhere);
    }

    function test_whoWasNotProvisionedTakesNothing() public {
        vm.prank(stranger);
        assertEq(registry.slash(node, modelId, type(uint256).max), 0);
        assertEq(vault.balanceOf(stranger), 0);
        assertEq(registry.providerCount(address(escrow), modelId), 1);
    }

    function test_theLastUnitTakesTheNodeOffTheList() public {
        vm.startPrank(module);
        registry.reserve(node, modelId, 100e6);
        registry.slash(node, modelId, 100e6);
        assertEq(registry.providerCount(module, modelId), 0);
        vm.stopPrank();
        vm.prank(node);
        registry.provision(module, modelId, 1e6);
        assertEq(registry.providerCount(module, modelId), 1);
    }
}
