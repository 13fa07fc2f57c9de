// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, Provision} from "../Base.t.sol";

contract ReserveTest is Base {
    address private module = makeAddr("module");

    function setUp() public override {
        super.setUp();
        vm.prank(node);
        registry.provision(module, modelId, 100e6);
    }

    function test_bindsAndNamesTheOperator() public {
        vm.prank(module);
        assertEq(registry.reserve(node, modelId, 30e6), operator);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.amount, 100e6);
        assertEq(p.reserved, 30e6);
    }

    function testFuzz_neverMoreThanAvailable(uint256 thawing, uint256 first, uint256 second) public {
        thawing = bound(thawing, 0, 100e6);
        first = bound(first, 0, 100e6 - thawing);
        vm.prank(node);
        registry.thaw(module, modelId, thawing);
        vm.startPrank(module);
        registry.reserve(node, modelId, first);
        uint256 available = 100e6 - thawing - first;
        if (second > available) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    INodeRegistry.InsufficientProvision.selector, node, module, modelId, available, second
                )
            );
        }
        registry.reserve(node, modelId, second);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.reserved, first + (second > available ? 0 : second));
        assertLe(uint256(p.reserved) + p.thawing, p.amount);
    }

    /// @dev A contract reaches what was provisioned to it, for that model, and nothing else.
    function test_refusesWhoWasNotProvisioned() public {
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InsufficientProvision.selector, node, stranger, modelId, 0, 1)
        );
        registry.reserve(node, modelId, 1);
        vm.prank(module);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InsufficientProvision.selector, node, module, modelId + 1, 0, 1)
        );
        registry.reserve(node, modelId + 1, 1);
    }
}
