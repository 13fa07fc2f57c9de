// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IModelRegistry, Version} from "../Base.t.sol";
import {IModelToken} from "contracts/interfaces/IModelToken.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";

contract RegisterTest is Base {
    function register(string memory name) private returns (uint64 id, address token_) {
        vm.prank(trainer);
        return models.register(name, "SYM", MANIFEST, MODEL_FEE, SUPPLY);
    }

    function test_recordsTheModel() public {
        uint64 id = models.modelIdOf(trainer, "other");
        assertEq(id, uint64(bytes8(keccak256(abi.encode(trainer, "other")))));
        vm.expectEmit(true, true, true, false, address(models));
        emit IModelRegistry.ModelRegistered(id, trainer, address(0), "other", MANIFEST, MODEL_FEE, SUPPLY);
        (uint64 found, address token_) = register("other");
        assertEq(found, id);
        assertEq(models.trainerOf(id), trainer);
        assertEq(models.nameOf(id), "other");
        assertEq(models.tokenOf(id), token_);
        assertEq(models.latestVersion(id), 0);
        assertEq(models.feeOf(id, 0), MODEL_FEE);
        Version memory version = models.versionOf(id, 0);
        assertEq(version.manifest, MANIFEST);
        assertEq(version.parent, 0);
        assertEq(version.epoch, 0);
        assertEq(version.publishedAt, block.timestamp);
    }

    function test_mintsTheWholeSupplyToTheTrainer() public {
        (, address token_) = register("other");
        IERC20Metadata shares = IERC20Metadata(token_);
        assertEq(shares.name(), "other");
        assertEq(shares.symbol(), "SYM");
        assertEq(shares.decimals(), 18);
        assertEq(shares.totalSupply(), SUPPLY);
        assertEq(shares.balanceOf(trainer), SUPPLY);
    }

    /// @dev The name belongs to the trainer: nobody can take it first, and ids are not in order.
    function test_sameNameAnotherTrainer() public {
        vm.prank(stranger);
        (uint64 id,) = models.register(MODEL_NAME, "SMOL", MANIFEST, 0, 1);
        assertNotEq(id, modelId);
        assertEq(models.trainerOf(id), stranger);
        assertEq(models.trainerOf(modelId), trainer);
    }

    function test_refusesTheSameNameTwice() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelExists.selector, modelId));
        register(MODEL_NAME);
    }

    function test_refusesNoManifest() public {
        vm.prank(trainer);
        vm.expectRevert(IModelRegistry.EmptyManifest.selector);
        models.register("other", "SYM", 0, MODEL_FEE, SUPPLY);
    }

    function test_refusesNoSupply() public {
        vm.prank(trainer);
        vm.expectRevert(IModelRegistry.EmptySupply.selector);
        models.register("other", "SYM", MANIFEST, MODEL_FEE, 0);
    }

    function test_names() public {
        register("a");
        register("0-._z9");
        register("abcdefghijklmnopqrstuvwxyz0123456789-._abcdefghijklmnopqrstuvwxy");
        string[8] memory bad = [
            "",
            "abcdefghijklmnopqrstuvwxyz0123456789-._abcdefghijklmnopqrstuvwxyz",
            "Model",
            "a b",
            "a/b",
            "a@1",
            unicode"modèle",
            "a\n"
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, bad[i]));
            register(bad[i]);
        }
    }

    function testFuzz_nameOfOneByte(bytes1 c) public {
        bool good = (c >= "a" && c <= "z") || (c >= "0" && c <= "9") || c == "-" || c == "." || c == "_";
        string memory name = string(abi.encodePacked(c));
        if (!good) vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, name));
        register(name);
    }

    function test_unknownModel() public {
        bytes memory unknown = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1);
        vm.expectRevert(unknown);
        models.trainerOf(1);
        vm.expectRevert(unknown);
        models.latestVersion(1);
        vm.expectRevert(unknown);
        models.versionOf(1, 0);
        vm.expectRevert(unknown);
        models.feeOf(1, 0);
        vm.expectRevert(unknown);
        models.tokenOf(1);
        vm.expectRevert(unknown);
        models.nameOf(1);
    }

    function test_unknownVersion() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 1));
        models.versionOf(modelId, 1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 1));
        models.feeOf(modelId, 1);
    }

    // --- the token

    function test_token_initializedOnceByTheRegistryAlone() public {
        IModelToken shares = IModelToken(models.tokenOf(modelId));
        vm.expectRevert(abi.encodeWithSelector(IModelToken.NotRegistry.selector, address(this), address(models)));
        shares.initialize("x", "X", 1, address(this));
        vm.prank(address(models));
        vm.expectRevert(IModelToken.AlreadyInitialized.selector);
        shares.initialize("x", "X", 1, address(this));
    }

    function test_token_implementationStaysEmpty() public {
        IModelToken implementation = IModelToken(models.tokenImplementation());
        vm.expectRevert(abi.encodeWithSelector(IModelToken.NotRegistry.selector, address(this), address(models)));
        implementation.initialize("x", "X", 1, address(this));
        assertEq(implementation.totalSupply(), 0);
    }

    /// @dev Each clone has a permit domain of its own: a permit for one model's token is worthless for another's.
    function test_token_permitIsForOneToken() public {
        vm.prank(client);
        (, address mine) = models.register("mine", "M", MANIFEST, 0, 1000);
        vm.prank(client);
        (, address other) = models.register("other", "O", MANIFEST, 0, 1000);
        (, string memory name,, uint256 chainId, address verifyingContract,,) = IERC5267(mine).eip712Domain();
        assertEq(name, "Capek model");
        assertEq(chainId, block.chainid);
        assertEq(verifyingContract, mine);
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                client,
                stranger,
                1000,
                0,
                block.timestamp
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(clientKey, keccak256(abi.encodePacked(hex"1901", IERC20Permit(mine).DOMAIN_SEPARATOR(), hash)));
        vm.expectRevert();
        IERC20Permit(other).permit(client, stranger, 1000, block.timestamp, v, r, s);
        IERC20Permit(mine).permit(client, stranger, 1000, block.timestamp, v, r, s);
        assertEq(IERC20Metadata(mine).allowance(client, stranger), 1000);
    }
}
