// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, Node} from "../Base.t.sol";

contract SetEndpointTest is Base {
    function test_operatorMayMoveTheNode() public {
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeUpdated(node, operator, keccak256("new"), "https://elsewhere");
        vm.prank(operator);
        registry.setEndpoint(node, keccak256("new"), "https://elsewhere");
        Node memory found = registry.nodeOf(node);
        assertEq(found.endpoint, "https://elsewhere");
        assertEq(found.operator, operator);
    }

    function test_ownerMayToo() public {
        vm.prank(node);
        registry.setEndpoint(node, 0, "");
        assertEq(registry.nodeOf(node).endpoint, "");
    }

    function test_refusesOthers() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotNode.selector, stranger, node));
        registry.setEndpoint(node, 0, "https://evil");
    }

    function test_refusesAnUnknownNode() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownNode.selector, stranger));
        registry.setEndpoint(stranger, 0, "");
    }

    function test_boundsTheEndpoint() public {
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EndpointTooLong.selector, 257, 256));
        registry.setEndpoint(node, 0, string(new bytes(257)));
    }
}
