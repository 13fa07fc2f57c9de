// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IJobEscrow, Job, Completion, Ruling, Status} from "../Base.t.sol";

contract OnRulingTest is Base {
    function test_theCourtAlone() public {
        Completion memory completion = disputed(aJob());
        address[3] memory others = [client, operator, stranger];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotCourt.selector, others[i]));
            escrow.onRuling(completion.jobHash, Ruling.Upheld, 0);
        }
    }

    function test_recordsEachRuling() public {
        Ruling[4] memory rulings = [Ruling.Upheld, Ruling.Dismissed, Ruling.Undecided, Ruling.None];
        Status[4] memory statuses =
            [Status.RuledUpheld, Status.RuledDismissed, Status.RuledUndecided, Status.RuledUndecided];
        for (uint256 i = 0; i < rulings.length; ++i) {
            Job memory job = aJob();
            job.seed = uint64(i);
            Completion memory completion = disputed(job);
            uint256 held = vault.balanceOf(address(escrow));
            vm.expectEmit(address(escrow));
            emit IJobEscrow.JobRuled(completion.jobHash, statuses[i]);
            court.rule(escrow, completion.jobHash, rulings[i], 1);
            assertStatus(completion.jobHash, statuses[i], 0);
            assertEq(vault.balanceOf(address(escrow)), held);
        }
    }

    /// @dev IDisputable: nothing that can fail. The first ruling stands; a late one finds the job closed and changes nothing, so that
    /// a court is never stuck with a case it can't report.
    function test_aRulingThatComesTooLateIsNoError() public {
        Job memory job = aJob();
        Completion memory completion = ruled(job, Ruling.Dismissed, 0);
        court.rule(escrow, completion.jobHash, Ruling.Upheld, 1e6);
        assertStatus(completion.jobHash, Status.RuledDismissed);
        escrow.closeDispute(job, completion);
        court.rule(escrow, completion.jobHash, Ruling.Upheld, 1e6);
        assertStatus(completion.jobHash, Status.Final);
        court.rule(escrow, keccak256("no such job"), Ruling.Upheld, 1e6);
        assertStatus(keccak256("no such job"), Status.None);
    }

    /// @dev Nothing asked, or nothing to have it from, is not written down: one word of the job changes, and no more.
    function test_nothingIsWrittenWhereNothingIsAsked() public {
        Ruling[2] memory rulings = [Ruling.Upheld, Ruling.Dismissed];
        for (uint256 i = 0; i < rulings.length; ++i) {
            Job memory job = aJob();
            job.seed = uint64(i);
            Completion memory completion = disputed(job);
            vm.record();
            court.rule(escrow, completion.jobHash, rulings[i], i);
            (, bytes32[] memory writes) = vm.accesses(address(escrow));
            assertEq(writes.length, 1);
            assertEq(escrow.courtFeeOf(completion.jobHash), 0);
        }
    }

    function test_onlyWhatIsDisputed() public {
        Job memory job = aJob();
        Completion memory completion = completed(job);
        court.rule(escrow, completion.jobHash, Ruling.Upheld, 0);
        assertStatus(completion.jobHash, Status.Completed);
    }
}
