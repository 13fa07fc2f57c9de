// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IModelRegistry, Version} from "../Base.t.sol";

contract PublishTest is Base {
    function test_governorAlone() public {
        assertEq(models.governor(), address(governor));
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotGovernor.selector, trainer, address(governor)));
        models.publish(modelId, MANIFEST, 0, 1);
    }

    function test_countsVersions() public {
        vm.startPrank(address(governor));
        vm.expectEmit(address(models));
        emit IModelRegistry.VersionPublished(modelId, 1, 0, 7, keccak256("v1"));
        assertEq(models.publish(modelId, keccak256("v1"), 0, 7), 1);
        assertEq(models.publish(modelId, keccak256("v2"), 1, 8), 2);
        assertEq(models.latestVersion(modelId), 2);
        Version memory version = models.versionOf(modelId, 2);
        assertEq(version.manifest, keccak256("v2"));
        assertEq(version.parent, 1);
        assertEq(version.epoch, 8);
        assertEq(version.publishedAt, block.timestamp);
        // What a client already pays for stays as it was.
        assertEq(models.versionOf(modelId, 0).manifest, MANIFEST);
        assertEq(models.feeOf(modelId, 0), MODEL_FEE);
        assertEq(models.feeOf(modelId, 2), MODEL_FEE);
    }

    function test_refusals() public {
        vm.startPrank(address(governor));
        vm.expectRevert(IModelRegistry.EmptyManifest.selector);
        models.publish(modelId, 0, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 1));
        models.publish(modelId, MANIFEST, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        models.publish(1, MANIFEST, 0, 1);
    }
}
