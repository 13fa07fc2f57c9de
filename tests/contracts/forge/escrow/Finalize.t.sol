// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Status} from "../Base.t.sol";

contract FinalizeTest is Base {
    Job[] private jobs;
    Completion[] private completions;

    function add(Job memory job, Completion memory completion) private {
        jobs.push(job);
        completions.push(completion);
    }

    function finalize() private returns (uint256) {
        vm.prank(stranger);
        return escrow.finalize(jobs, completions);
    }

    function pass() private {
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
    }

    function number(uint64 seed) private view returns (Job memory job) {
        job = aJob();
        (job.seed, job.deadline) = (seed, 1_800_000_000 + MAX_JOB_TIME);
    }

    function test_paysManyAtOnce() public {
        uint256 before = vault.balanceOf(client);
        for (uint64 i = 0; i < 10; ++i) {
            add(number(i), completed(number(i)));
        }
        pass();
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobPaid(completions[0].jobHash, PAYMENT, FEE);
        assertEq(finalize(), 10);
        assertEq(vault.balanceOf(treasurer), 10 * (PAYMENT - FEE));
        assertEq(escrow.feesOf(modelId), 10 * FEE);
        assertEq(vault.balanceOf(client), before - 10 * PAYMENT);
        assertEq(vault.balanceOf(address(escrow)), 10 * FEE);
        assertEq(reservedOf(node), 0);
        for (uint256 i = 0; i < 10; ++i) {
            assertStatus(completions[i].jobHash, Status.Final);
        }
    }

    function test_notASecondTooEarly() public {
        add(aJob(), completed(aJob()));
        vm.warp(block.timestamp + CHALLENGE_WINDOW);
        assertEq(finalize(), 0);
        vm.warp(block.timestamp + 1);
        assertEq(finalize(), 1);
    }

    function test_lengthsMatch() public {
        jobs.push(aJob());
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.LengthMismatch.selector, 1, 0));
        finalize();
    }

    function test_nothingIsNothing() public {
        assertEq(finalize(), 0);
    }

    /// @dev Whatever somebody mixes into a batch, the others are paid.
    function test_passesOverWhatIsNotReady() public {
        add(number(1), completionOf(number(1)));
        Job memory open_ = number(2);
        open(open_);
        add(open_, completionOf(open_));
        add(number(3), demanded(number(3)));
        add(number(4), disputed(number(4)));
        Completion memory wrong = completed(number(5));
        wrong.payTo = stranger;
        add(number(5), wrong);
        add(number(6), completed(number(6)));
        Job memory closed = number(7);
        Completion memory its = completed(closed);
        vm.prank(client);
        escrow.approve(closed, its);
        add(closed, its);
        add(number(6), completions[5]);
        uint256 paid = vault.balanceOf(treasurer);
        vm.warp(block.timestamp + CHALLENGE_WINDOW / 2);
        add(number(8), completed(number(8)));
        vm.warp(block.timestamp + CHALLENGE_WINDOW / 2 + 1);
        assertEq(finalize(), 1);
        assertStatus(completions[5].jobHash, Status.Final);
        assertStatus(escrow.jobHash(number(2)), Status.Open);
        assertStatus(escrow.jobHash(number(3)), Status.Demanded);
        assertStatus(escrow.jobHash(number(4)), Status.Disputed);
        assertStatus(escrow.jobHash(number(5)), Status.Completed);
        assertStatus(escrow.jobHash(number(8)), Status.Completed);
        assertEq(vault.balanceOf(treasurer), paid + PAYMENT - FEE);
        assertEq(vault.balanceOf(stranger), 0);
        assertEq(reservedOf(node), 5 * PENALTY);
    }

    function test_aJobTwiceInABatchIsPaidOnce() public {
        Completion memory completion = completed(aJob());
        add(aJob(), completion);
        add(aJob(), completion);
        pass();
        assertEq(finalize(), 1);
        assertEq(vault.balanceOf(treasurer), PAYMENT - FEE);
    }

    function test_afterDelivery() public {
        Job memory job = aJob();
        Completion memory completion = delivered(job);
        add(job, completion);
        pass();
        assertEq(finalize(), 1);
        assertStatus(completion.jobHash, Status.Final);
    }
}

/// @notice Batches over several nodes, payees and models, in any order: each is paid what is its own.
contract FinalizeRunsTest is Base {
    address private second = makeAddr("second node");
    uint64 private otherModel;

    function setUp() public override {
        super.setUp();
        vm.prank(trainer);
        (otherModel,) = models.register("other", "O", MANIFEST, MODEL_FEE * 2, SUPPLY);
        vm.prank(second);
        registry.setNode(operator, 0, "");
        stake(second, 4000e6);
        stake(node, 4000e6);
        address[2] memory nodes = [node, second];
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(nodes[i]);
            registry.provision(address(escrow), modelId, 1000e6);
            registry.provision(address(escrow), otherModel, 1000e6);
            vm.stopPrank();
        }
    }

    /// forge-config: default.fuzz.runs = 500
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_eachIsPaidItsOwn(uint256 choices) public {
        uint256 count = 8;
        Job[] memory jobs = new Job[](count);
        Completion[] memory completions = new Completion[](count);
        address[2] memory nodes = [node, second];
        address[2] memory payees = [treasurer, stranger];
        uint256[2] memory expected;
        uint256[2] memory fees;
        uint256 reserved;
        for (uint256 i = 0; i < count; ++i) {
            Job memory job = aJob();
            job.seed = uint64(i);
            bool other = choices >> (3 * i) & 1 == 1;
            (job.modelId, job.modelFee) = other ? (otherModel, MODEL_FEE * 2) : (modelId, MODEL_FEE);
            job.node = nodes[choices >> (3 * i + 1) & 1];
            jobs[i] = job;
            open(job);
            completions[i] = completionOf(job);
            uint256 payee = choices >> (3 * i + 2) & 1;
            completions[i].payTo = payees[payee];
            complete(completions[i]);
            uint256 fee = other ? 2 * FEE : FEE;
            expected[payee] += PAYMENT - fee;
            fees[other ? 1 : 0] += fee;
            reserved += PENALTY;
        }
        assertEq(totalReserved(), reserved);
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
        assertEq(escrow.finalize(jobs, completions), count);
        assertEq(vault.balanceOf(treasurer), expected[0]);
        assertEq(vault.balanceOf(stranger), expected[1]);
        assertEq(escrow.feesOf(modelId), fees[0]);
        assertEq(escrow.feesOf(otherModel), fees[1]);
        assertEq(vault.balanceOf(address(escrow)), fees[0] + fees[1]);
        assertEq(totalReserved(), 0);
    }

    function totalReserved() private view returns (uint256) {
        return registry.provisionOf(node, address(escrow), modelId).reserved
            + registry.provisionOf(node, address(escrow), otherModel).reserved
            + registry.provisionOf(second, address(escrow), modelId).reserved
            + registry.provisionOf(second, address(escrow), otherModel).reserved;
    }
}
