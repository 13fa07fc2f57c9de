// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, Node} from "../Base.t.sol";

contract SetNodeTest is Base {
    address private other = makeAddr("other operator");

    function set(address operator_) private {
        vm.prank(node);
        registry.setNode(operator_, keccak256("k"), "https://n");
    }

    function test_constructor_boundsTheThawPeriod() public {
        for (uint256 i = 0; i < 2; ++i) {
            uint40 period = [uint40(0), 365 days + 1][i];
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.BadThawPeriod.selector, period));
            deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(vault, period));
        }
        deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(vault, 365 days));
        assertEq(registry.thawPeriod(), THAW);
    }

    function test_recordsTheNode() public {
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeUpdated(stranger, other, keccak256("k"), "https://n");
        vm.prank(stranger);
        registry.setNode(other, keccak256("k"), "https://n");
        Node memory found = registry.nodeOf(stranger);
        assertEq(found.operator, other);
        assertEq(found.encryptionKey, keccak256("k"));
        assertEq(found.endpoint, "https://n");
        assertEq(registry.operatorOf(stranger), other);
    }

    function test_refusesNoOperator() public {
        vm.prank(node);
        vm.expectRevert(INodeRegistry.ZeroOperator.selector);
        registry.setNode(address(0), keccak256("k"), "https://n");
    }

    function test_boundsTheEndpoint() public {
        string memory longest = string(new bytes(256));
        vm.prank(node);
        registry.setNode(operator, 0, longest);
        vm.prank(node);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EndpointTooLong.selector, 257, 256));
        registry.setNode(operator, 0, string.concat(longest, "x"));
    }

    /// @dev A node can't disown what its operator signed by changing it.
    function test_formerOperatorStaysAnswerable() public {
        uint64 before = uint64(block.timestamp - 1);
        uint64 change = uint64(block.timestamp);
        set(other);
        assertTrue(registry.wasOperator(node, operator, before));
        assertTrue(registry.wasOperator(node, operator, change));
        assertFalse(registry.wasOperator(node, operator, change + 1));
        assertTrue(registry.wasOperator(node, other, change + 1));
    }

    function test_setAgainUnchanged_retiresNobody() public {
        set(operator);
        vm.warp(block.timestamp + 1 days);
        assertTrue(registry.wasOperator(node, operator, uint64(block.timestamp)));
    }

    function test_nobodyIsNoOperator() public view {
        assertFalse(registry.wasOperator(node, address(0), uint64(block.timestamp)));
        assertFalse(registry.wasOperator(stranger, address(0), 0));
        assertFalse(registry.wasOperator(node, stranger, 0));
    }

    /// @dev To name somebody's operator as one's own gives no power over them.
    function test_anotherNodeWithTheSameOperatorIsHarmless() public {
        vm.prank(stranger);
        registry.setNode(operator, 0, "");
        assertEq(registry.operatorOf(node), operator);
        assertEq(registry.idleOf(stranger), 0);
    }
}
