// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Status} from "../Base.t.sol";

contract CompleteTest is Base {
    Job private job;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        job = aJob();
        id = open(job);
    }

    function refuses(Completion memory completion, bytes memory error) private {
        vm.prank(operator);
        vm.expectRevert(error);
        escrow.complete(completion);
    }

    function test_commitsAndStartsTheWindow() public {
        Completion memory c = completionOf(job);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobCompleted(id, c.node, c.outputHash, c.outputTokens, c.finish, c.servedAt, c.payTo);
        complete(c);
        assertStatus(id, Status.Completed, block.timestamp + CHALLENGE_WINDOW);
        assertEq(vault.balanceOf(address(escrow)), CEILING);
        assertEq(reservedOf(node), PENALTY);
    }

    /// @dev Whatever a node puts into its completion, the event is enough to bring the same one along: or a node could withhold
    /// its output and nobody could name the completion that it withholds.
    function testFuzz_theEventTellsTheWholeCompletion(Completion memory c) public {
        c.jobHash = id;
        c.outputTokens = uint32(bound(c.outputTokens, 1, MAX_TOKENS));
        c.finish = c.finish % 2 == 1 && c.outputTokens == MAX_TOKENS ? 1 : 0;
        if (c.payTo == address(0) || c.payTo == address(vault)) c.payTo = treasurer;
        vm.recordLogs();
        complete(c);
        bytes memory data = vm.getRecordedLogs()[0].data;
        Completion memory found;
        found.jobHash = id;
        (found.node, found.outputHash, found.outputTokens, found.finish, found.servedAt, found.payTo) =
            abi.decode(data, (address, bytes32, uint32, uint8, uint64, address));
        demand(job, found);
        assertStatus(id, Status.Demanded);
    }

    function test_theAcceptingOperatorAlone() public {
        Completion memory c = completionOf(job);
        address[3] memory others = [node, client, stranger];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotOperator.selector, others[i], operator));
            escrow.complete(c);
        }
    }

    /// @dev An operator that is replaced finishes what it accepted.
    function test_aReplacedOperatorFinishesItsJobs() public {
        vm.prank(node);
        registry.setNode(stranger, 0, "");
        complete(completionOf(job));
        assertStatus(id, Status.Completed);
    }

    function test_byTheDeadline() public {
        Completion memory c = completionOf(job);
        vm.warp(job.deadline + 1);
        refuses(c, abi.encodeWithSelector(IJobEscrow.DeadlinePassed.selector, job.deadline, job.deadline + 1));
        vm.warp(job.deadline);
        complete(c);
    }

    function test_once() public {
        Completion memory c = completionOf(job);
        complete(c);
        refuses(c, abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, id, Status.Completed));
    }

    function test_onlyAJobThatIs() public {
        Completion memory c = completionOf(job);
        c.jobHash = keccak256("no such job");
        refuses(c, abi.encodeWithSelector(IJobEscrow.WrongStatus.selector, c.jobHash, Status.None));
    }

    function test_payToCanBePaid() public {
        Completion memory c = completionOf(job);
        for (uint256 i = 0; i < 2; ++i) {
            c.payTo = [address(0), address(vault)][i];
            refuses(c, abi.encodeWithSelector(IJobEscrow.ZeroPayTo.selector));
        }
    }

    function testFuzz_countsAndFinish(uint32 tokens, uint8 finish) public {
        tokens = uint32(bound(tokens, 0, MAX_TOKENS + 1));
        finish = uint8(bound(finish, 0, 3));
        Completion memory c = completionOf(job);
        (c.outputTokens, c.finish) = (tokens, finish);
        bool good = tokens >= 1 && tokens <= MAX_TOKENS && finish <= 1 && (finish != 1 || tokens == MAX_TOKENS);
        if (good) return complete(c);
        refuses(c, abi.encodeWithSelector(IJobEscrow.BadCompletion.selector, tokens, MAX_TOKENS, finish));
    }

    /// @dev A clock in the future (or past) is the client's to refuse; the contract only records it.
    function test_servedAtIsRecordedAsClaimed() public {
        Completion memory c = completionOf(job);
        c.servedAt = type(uint64).max;
        complete(c);
        vm.prank(client);
        escrow.approve(job, c);
    }
}
