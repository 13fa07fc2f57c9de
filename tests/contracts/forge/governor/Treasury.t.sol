// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IModelRegistry, ITuningGovernor} from "../Base.t.sol";

contract TreasuryTest is Base {
    function test_anyoneMayFundAModel() public {
        vm.expectEmit(address(governor));
        emit ITuningGovernor.TreasuryFunded(modelId, client, 6e6);
        vm.prank(client);
        vault.payAndCall(address(governor), 6e6, abi.encode(modelId));
        assertEq(governor.treasuryOf(modelId), 6e6);
        assertEq(vault.balanceOf(address(governor)), 6e6);
    }

    function test_modelsAreApart() public {
        vm.prank(stranger);
        (uint64 other,) = models.register("other", "O", MANIFEST, 0, 1);
        vm.startPrank(client);
        vault.payAndCall(address(governor), 6e6, abi.encode(modelId));
        vault.payAndCall(address(governor), 1e6, abi.encode(other));
        assertEq(governor.treasuryOf(modelId), 6e6);
        assertEq(governor.treasuryOf(other), 1e6);
        assertEq(vault.balanceOf(address(governor)), 7e6);
    }

    function test_refusesAnUnknownModel() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        vault.payAndCall(address(governor), 6e6, abi.encode(uint64(1)));
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(address(governor), 6e6, "");
    }
}
