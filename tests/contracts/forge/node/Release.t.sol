// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Base, INodeRegistry, Provision} from "../Base.t.sol";

contract ReleaseTest is Base {
    address private module = makeAddr("module");

    function setUp() public override {
        super.setUp();
        vm.prank(node);
        registry.provision(module, modelId, 100e6);
    }

    function testFuzz_clamps(uint256 reserved, uint256 amount) public {
        reserved = bound(reserved, 0, 100e6);
        vm.startPrank(module);
        registry.reserve(node, modelId, reserved);
        registry.release(node, modelId, amount);
        Provision memory p = registry.provisionOf(node, module, modelId);
        assertEq(p.reserved, reserved - Math.min(reserved, amount));
        assertEq(p.amount, 100e6);
    }

    function test_releasedStakeCanThaw() public {
        vm.startPrank(module);
        registry.reserve(node, modelId, 100e6);
        registry.release(node, modelId, 100e6);
        vm.stopPrank();
        vm.prank(node);
        registry.thaw(module, modelId, 100e6);
    }

    /// @dev Somebody else's release touches only their own provision: nothing.
    function test_nobodyElsesReservation() public {
        vm.prank(module);
        registry.reserve(node, modelId, 100e6);
        vm.prank(stranger);
        registry.release(node, modelId, 100e6);
        assertEq(registry.provisionOf(node, module, modelId).reserved, 100e6);
    }
}
