// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {
    Base,
    IJobEscrow,
    IJobEscrowPayments,
    IModelRegistry,
    INodeRegistry,
    Job,
    Completion,
    Status
} from "../Base.t.sol";

contract OpenTest is Base {
    function sends(uint256 amount, bytes memory data) private {
        vm.prank(client);
        vault.payAndCall(address(escrow), amount, data);
    }

    function refuses(Job memory job, bytes memory error) private {
        refuses(job, error, 0);
    }

    function refuses(Job memory job, bytes memory error, uint256 reserved) private {
        bytes memory data = openCall(job);
        uint256 before = vault.balanceOf(client);
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(escrow), job.ceiling, data);
        assertEq(vault.balanceOf(client), before);
        assertStatus(escrow.jobHash(job), Status.None);
        assertEq(reservedOf(node), reserved);
    }

    function test_locksThePriceAndReservesThePenalty() public {
        Job memory job = aJob();
        bytes32 id = escrow.jobHash(job);
        uint256 before = vault.balanceOf(client);
        bytes memory data = openCall(job);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobOpened(id, client, node);
        sends(job.ceiling, data);
        assertStatus(id, Status.Open, job.deadline);
        assertEq(vault.balanceOf(client), before - CEILING);
        assertEq(vault.balanceOf(address(escrow)), CEILING);
        assertEq(reservedOf(node), PENALTY);
    }

    function test_onlyFromTheVault() public {
        bytes memory data = openCall(aJob());
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotVault.selector, client));
        escrow.onVaultPayment(client, CEILING, data);
    }

    function test_unknownCalls() public {
        bytes[4] memory calls = [bytes(""), hex"12345678", hex"123456", abi.encodeCall(IJobEscrow.pushModelFees, (1))];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(client);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.UnknownCall.selector, bytes4(calls[i])));
            vault.payAndCall(address(escrow), 0, calls[i]);
        }
    }

    function test_lengthIsExact() public {
        Job memory job = aJob();
        bytes memory data = openCall(job);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadCallLength.selector, 737, 736));
        vault.payAndCall(address(escrow), job.ceiling, bytes.concat(data, hex"00"));
        assembly ("memory-safe") {
            mstore(data, sub(mload(data), 1))
        }
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadCallLength.selector, 735, 736));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    function test_clientPaysForItself() public {
        Job memory job = aJob();
        bytes memory data = openCall(job);
        fund(stranger, job.ceiling);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotClient.selector, stranger, client));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    function test_forThisEscrowAlone() public {
        Job memory job = aJob();
        job.collector = stranger;
        refuses(job, abi.encodeWithSelector(IJobEscrow.WrongCollector.selector, stranger, bytes32(0)));
        job = aJob();
        job.channel = bytes32(uint256(1));
        refuses(job, abi.encodeWithSelector(IJobEscrow.WrongCollector.selector, address(escrow), job.channel));
    }

    function test_payTheCeilingExactly() public {
        Job memory job = aJob();
        bytes memory data = openCall(job);
        vm.startPrank(client);
        for (uint256 i = 0; i < 3; i += 2) {
            uint256 amount = job.ceiling + i - 1;
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongAmount.selector, amount, job.ceiling));
            vault.payAndCall(address(escrow), amount, data);
        }
    }

    function test_tokenCounts() public {
        uint32[2][4] memory bad =
            [[uint32(0), 1], [uint32(1), 0], [uint32(16_384), 1], [type(uint32).max, type(uint32).max]];
        Job memory job = aJob();
        for (uint256 i = 0; i < bad.length; ++i) {
            (job.promptTokens, job.maxTokens) = (bad[i][0], bad[i][1]);
            refuses(job, abi.encodeWithSelector(IJobEscrow.BadTokenCount.selector, bad[i][0], bad[i][1], 16_384));
        }
        job.ceiling = 10e6;
        (job.promptTokens, job.maxTokens) = (1, 16_383);
        open(job);
        (job.promptTokens, job.maxTokens) = (16_383, 1);
        open(job);
    }

    function test_sampling() public {
        Job memory job = aJob();
        uint32[2][3] memory bad = [[uint32(0), 0], [uint32(0), 1_000_001], [uint32(100_000_001), 1_000_000]];
        for (uint256 i = 0; i < bad.length; ++i) {
            (job.temperature, job.topP) = (bad[i][0], bad[i][1]);
            refuses(job, abi.encodeWithSelector(IJobEscrow.BadSampling.selector, job.temperature, job.topP));
        }
        (job.topP, job.temperature) = (1_000_000, 0);
        open(job);
        (job.topP, job.temperature) = (1, 100_000_000);
        open(job);
    }

    function test_theFeeLiesWithinBothPrices() public {
        Job memory job = aJob();
        job.inputPrice = MODEL_FEE - 1;
        refuses(
            job, abi.encodeWithSelector(IJobEscrow.FeeAbovePrice.selector, MODEL_FEE, job.inputPrice, job.outputPrice)
        );
        job = aJob();
        job.outputPrice = MODEL_FEE - 1;
        refuses(
            job, abi.encodeWithSelector(IJobEscrow.FeeAbovePrice.selector, MODEL_FEE, job.inputPrice, job.outputPrice)
        );
        (job.inputPrice, job.outputPrice) = (MODEL_FEE, MODEL_FEE);
        open(job);
    }

    /// @dev Or the price could be paid elsewhere, past the model's treasury, with the node's stake bound all the same.
    function test_theCeilingCoversTheLongestAnswer() public {
        Job memory job = aJob();
        job.ceiling = CEILING - 1;
        refuses(job, abi.encodeWithSelector(IJobEscrow.CeilingTooLow.selector, job.ceiling, CEILING));
        job.ceiling = 0;
        refuses(job, abi.encodeWithSelector(IJobEscrow.CeilingTooLow.selector, 0, CEILING));
        job.ceiling = CEILING + 1;
        open(job);
    }

    function test_theFeeIsTheRegistrys() public {
        Job memory job = aJob();
        for (uint256 i = 0; i < 3; i += 2) {
            job.modelFee = uint64(MODEL_FEE + i - 1);
            refuses(job, abi.encodeWithSelector(IJobEscrow.WrongModelFee.selector, job.modelFee, MODEL_FEE));
        }
    }

    function test_unknownModelOrVersion() public {
        Job memory job = aJob();
        job.modelId = 1;
        refuses(job, abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 1));
        job = aJob();
        job.version = 1;
        refuses(job, abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 1));
        vm.prank(address(governor));
        models.publish(modelId, MANIFEST, 0, 1);
        open(job);
    }

    /// @dev What the escrow remembers of the registry says nothing of what came later.
    function test_aVersionThatIsNotYetKnown() public {
        Job memory job = aJob();
        open(job);
        job.version = 1;
        refuses(job, abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 1), PENALTY);
        vm.startPrank(address(governor));
        models.publish(modelId, MANIFEST, 0, 1);
        models.publish(modelId, MANIFEST, 1, 2);
        vm.stopPrank();
        job.version = 2;
        open(job);
        job.version = 1;
        open(job);
        job.version = 3;
        refuses(job, abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, 3), 3 * PENALTY);
        job.version = type(uint32).max;
        refuses(job, abi.encodeWithSelector(IModelRegistry.UnknownVersion.selector, modelId, job.version), 3 * PENALTY);
        // The fee that was remembered is demanded as strictly.
        (job.version, job.modelFee) = (2, MODEL_FEE - 1);
        refuses(job, abi.encodeWithSelector(IJobEscrow.WrongModelFee.selector, job.modelFee, MODEL_FEE), 3 * PENALTY);
    }

    /// @dev And one model's fee is not another's.
    function test_eachModelHasItsFee() public {
        open(aJob());
        vm.prank(trainer);
        (uint64 other,) = models.register("other", "O", MANIFEST, MODEL_FEE - 1, SUPPLY);
        vm.prank(node);
        registry.provision(address(escrow), other, 100e6);
        Job memory job = aJob();
        job.modelId = other;
        refuses(job, abi.encodeWithSelector(IJobEscrow.WrongModelFee.selector, MODEL_FEE, MODEL_FEE - 1), PENALTY);
        job.modelFee = MODEL_FEE - 1;
        open(job);
    }

    function test_deadlines() public {
        Job memory job = aJob();
        job.deadline = uint64(block.timestamp - 1);
        refuses(job, abi.encodeWithSelector(IJobEscrow.DeadlinePassed.selector, job.deadline, block.timestamp));
        job.deadline = uint64(block.timestamp + MAX_JOB_TIME + 1);
        refuses(
            job,
            abi.encodeWithSelector(IJobEscrow.DeadlineTooFar.selector, job.deadline, block.timestamp + MAX_JOB_TIME)
        );
        job.deadline = type(uint64).max;
        refuses(
            job,
            abi.encodeWithSelector(IJobEscrow.DeadlineTooFar.selector, job.deadline, block.timestamp + MAX_JOB_TIME)
        );
        job.deadline = uint64(block.timestamp + MAX_JOB_TIME);
        open(job);
        job.deadline = uint64(block.timestamp);
        open(job);
    }

    // --- the node's acceptance

    function test_anAcceptanceExpires() public {
        Job memory job = aJob();
        uint64 expires = soon();
        bytes memory data = openCall(job, expires, operatorKey);
        vm.warp(expires + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.AcceptanceExpired.selector, expires, expires + 1));
        sends(job.ceiling, data);
        vm.warp(expires);
        sends(job.ceiling, data);
    }

    function test_onlyTheOperatorAccepts() public {
        Job memory job = aJob();
        bytes memory data = openCall(job, soon(), clientKey);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotAccepted.selector, client, operator));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    /// @dev To take another job, another time or another node under an acceptance that was given: each is another digest.
    function test_anAcceptanceIsForOneJobAndOneTime() public {
        Job memory job = aJob();
        (bytes32 r, bytes32 vs) = vm.signCompact(operatorKey, acceptance(escrow.jobHash(job), soon()));
        bytes memory later = abi.encodeCall(IJobEscrowPayments.open, (job, soon() + 1, r, vs));
        job.seed += 1;
        bytes memory other = abi.encodeCall(IJobEscrowPayments.open, (job, soon(), r, vs));
        vm.startPrank(client);
        vm.expectPartialRevert(IJobEscrow.NotAccepted.selector);
        vault.payAndCall(address(escrow), job.ceiling, later);
        vm.expectPartialRevert(IJobEscrow.NotAccepted.selector);
        vault.payAndCall(address(escrow), job.ceiling, other);
    }

    function test_aSignatureThatIsNone() public {
        Job memory job = aJob();
        bytes memory data = abi.encodeCall(IJobEscrowPayments.open, (job, soon(), bytes32(0), bytes32(0)));
        vm.prank(client);
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    function test_aFormerOperatorAcceptsNothingMore() public {
        Job memory job = aJob();
        bytes memory data = openCall(job);
        address next = makeAddr("next operator");
        vm.prank(node);
        registry.setNode(next, 0, "");
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotAccepted.selector, operator, next));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    function test_anotherChainsAcceptanceIsWorthless() public {
        Job memory job = aJob();
        bytes memory data = openCall(job);
        vm.chainId(1337);
        vm.prank(client);
        vm.expectPartialRevert(IJobEscrow.NotAccepted.selector);
        vault.payAndCall(address(escrow), job.ceiling, data);
        open(job);
    }

    function test_onceWhileOpen() public {
        Job memory job = aJob();
        bytes32 id = open(job);
        bytes memory data = openCall(job);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobExists.selector, id));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    /// @dev An acceptance that still holds when the job is over opens nothing a second time.
    function test_onceForEver() public {
        Job memory job = aJob();
        bytes memory data = openCall(job, uint64(block.timestamp + 30 days), operatorKey);
        sends(job.ceiling, data);
        Completion memory completion = completionOf(job);
        complete(completion);
        vm.prank(client);
        escrow.approve(job, completion);
        bytes32 id = completion.jobHash;
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobExists.selector, id));
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    // --- stake

    function test_refusesANodeWithoutProvision() public {
        Job memory job = aJob();
        job.node = stranger;
        refuses(
            job,
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector, stranger, address(escrow), modelId, 0, PENALTY
            )
        );
    }

    function test_oneReservationAJob() public {
        Job memory job = aJob();
        for (uint256 i = 0; i < 25; ++i) {
            job.seed = uint64(i);
            open(job);
        }
        assertEq(reservedOf(node), 500e6);
        job.seed = 25;
        bytes memory data = openCall(job);
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector, node, address(escrow), modelId, 0, PENALTY
            )
        );
        vault.payAndCall(address(escrow), job.ceiling, data);
    }

    /// @dev Every lawful job opens; what it locks is its ceiling, to the unit.
    function testFuzz_opens(
        uint32 promptTokens,
        uint32 maxTokens,
        uint32 topP,
        uint64 inputPrice,
        uint64 outputPrice,
        uint128 ceiling,
        uint64 deadline
    ) public {
        Job memory job = aJob();
        job.promptTokens = uint32(bound(promptTokens, 1, 16_383));
        job.maxTokens = uint32(bound(maxTokens, 1, 16_384 - job.promptTokens));
        job.topP = uint32(bound(topP, 1, 1_000_000));
        job.inputPrice = uint64(bound(inputPrice, MODEL_FEE, 3e9));
        job.outputPrice = uint64(bound(outputPrice, MODEL_FEE, 3e9));
        uint256 full =
            (uint256(job.promptTokens) * job.inputPrice + uint256(job.maxTokens) * job.outputPrice + 999_999) / 1e6;
        job.ceiling = uint128(bound(ceiling, full, 100e6));
        job.deadline = uint64(bound(deadline, block.timestamp, block.timestamp + MAX_JOB_TIME));
        uint256 before = vault.balanceOf(client);
        bytes32 id = open(job);
        assertStatus(id, Status.Open, job.deadline);
        assertEq(vault.balanceOf(client), before - job.ceiling);
    }
}
