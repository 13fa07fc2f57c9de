// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry} from "../Base.t.sol";

contract StakeTest is Base {
    function test_anyoneMayStakeForANode() public {
        uint256 idle = registry.idleOf(node);
        uint256 held = vault.balanceOf(address(registry));
        fund(stranger, 5e6);
        vm.expectEmit(address(registry));
        emit INodeRegistry.Staked(node, stranger, 5e6);
        vm.prank(stranger);
        vault.payAndCall(address(registry), 5e6, abi.encode(node));
        assertEq(registry.idleOf(node), idle + 5e6);
        assertEq(vault.balanceOf(address(registry)), held + 5e6);
    }

    function test_refusesAnUnknownNode() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownNode.selector, stranger));
        vault.payAndCall(address(registry), 5e6, abi.encode(stranger));
    }

    function test_refusesDataThatNamesNoNode() public {
        vm.startPrank(client);
        vm.expectRevert();
        vault.payAndCall(address(registry), 5e6, "");
        vm.expectRevert();
        vault.payAndCall(address(registry), 5e6, abi.encode(uint256(uint160(node)) | 1 << 160));
    }
}
