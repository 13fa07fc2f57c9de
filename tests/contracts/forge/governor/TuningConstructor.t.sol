// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RewardsConfig} from "contracts/interfaces/IEpochRewards.sol";
import {TasksConfig} from "contracts/interfaces/ITuningTasks.sol";
import {GovernorConfig} from "contracts/interfaces/ITuningGovernor.sol";
import {
    TuningBase,
    IAssertions,
    INodeRegistry,
    ITuningTasks,
    IEpochRewards,
    IDisputeCourt,
    IVault,
    ITuningTasksPayments,
    Case,
    T
} from "./TuningBase.t.sol";

contract TuningConstructorTest is TuningBase {
    function deployTasks(TasksConfig memory c) private returns (address) {
        return deployCode("TuningTasks.sol:TuningTasks", abi.encode(c));
    }

    function deployGovernor(GovernorConfig memory c) private returns (address) {
        return deployCode("TuningGovernor.sol:TuningGovernor", abi.encode(c));
    }

    function deployRewards(RewardsConfig memory c) private returns (address) {
        return deployCode("EpochRewards.sol:EpochRewards", abi.encode(c));
    }

    function refuses(TasksConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(ITuningTasks.BadConfig.selector, field));
        deployTasks(c);
    }

    function refuses(GovernorConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(IAssertions.BadConfig.selector, field));
        deployGovernor(c);
    }

    function refuses(RewardsConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(IAssertions.BadConfig.selector, field));
        deployRewards(c);
    }

    function test_showWhatTheyWereGiven() public {
        TasksConfig memory t = tasks.tasksConfig();
        assertEq(keccak256(abi.encode(ITuningTasks(deployTasks(t)).tasksConfig())), keccak256(abi.encode(t)));
        RewardsConfig memory r = rewards.rewardsConfig();
        assertEq(keccak256(abi.encode(IEpochRewards(deployRewards(r)).rewardsConfig())), keccak256(abi.encode(r)));
        assertEq(address(governor.governorConfig().tasks), address(tasks));
        assertEq(models.governor(), address(governor));
    }

    function test_tasks() public {
        IVault other = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        TasksConfig memory c = tasks.tasksConfig();
        c.vault = other;
        refuses(c, "nodes");
        c = tasks.tasksConfig();
        c.rewards = IEpochRewards(deployRewards(T.rewards(other, IDisputeCourt(address(0)))));
        refuses(c, "rewards");
        c = tasks.tasksConfig();
        c.minStake = 0;
        refuses(c, "minStake");
        c = tasks.tasksConfig();
        c.missPenalty = c.minStake + 1;
        refuses(c, "missPenalty");
        c = tasks.tasksConfig();
        c.auditShare = 5001;
        refuses(c, "auditShare");
        c = tasks.tasksConfig();
        c.winnerShare = 5001;
        refuses(c, "winnerShare");
        c = tasks.tasksConfig();
        c.auditSegments = 0;
        refuses(c, "auditSegments");
        c = tasks.tasksConfig();
        c.riseTime = 0;
        refuses(c, "riseTime");
        c.riseTime = c.claimWindow + 1;
        refuses(c, "riseTime");
        c = tasks.tasksConfig();
        c.taskTime = 0;
        refuses(c, "taskTime");
        c = tasks.tasksConfig();
        c.auditWindow = 91 days;
        refuses(c, "auditWindow");
        c = tasks.tasksConfig();
        // The court's longest.
        c.disputeLimit = 6 days;
        refuses(c, "disputeLimit");
        c = tasks.tasksConfig();
        c.challengeWindow = 10 days;
        refuses(c, "thawPeriod");
        (c.claimWindow, c.taskTime, c.auditWindow, c.challengeWindow) = (90 days, 88 days, 45 days, 90 days);
        refuses(c, "longest");
        c.taskTime = 87 days;
        refuses(c, "thawPeriod");
    }

    function test_governor() public {
        GovernorConfig memory c = governor.governorConfig();
        c.vault = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        refuses(c, "tasks");
        c = governor.governorConfig();
        c.reviewWindow = c.epochLength;
        refuses(c, "reviewWindow");
        c = governor.governorConfig();
        c.closeWindow = c.epochLength + 1;
        refuses(c, "closeWindow");
        c.closeWindow = 0;
        refuses(c, "closeWindow");
        c = governor.governorConfig();
        c.mergeWindow = 0;
        refuses(c, "mergeWindow");
        c = governor.governorConfig();
        c.quorum = 0;
        refuses(c, "quorum");
        c.quorum = 10_001;
        refuses(c, "quorum");
        c = governor.governorConfig();
        c.fullTurnout = c.quorum - 1;
        refuses(c, "fullTurnout");
        c.fullTurnout = 10_001;
        refuses(c, "fullTurnout");
        c = governor.governorConfig();
        c.epochLength = 366 days;
        refuses(c, "epochLength");
    }

    function test_assertions() public {
        RewardsConfig memory c = rewards.rewardsConfig();
        c.roots.bond = 0;
        refuses(c, "bond");
        c = rewards.rewardsConfig();
        c.roots.winnerShare = 5001;
        refuses(c, "winnerShare");
        c = rewards.rewardsConfig();
        c.roots.challengeWindow = 0;
        refuses(c, "challengeWindow");
        c = rewards.rewardsConfig();
        c.roots.disputeLimit = 6 days;
        refuses(c, "disputeLimit");
        c.roots.disputeLimit = 91 days;
        refuses(c, "disputeLimit");
        c = rewards.rewardsConfig();
        c.postWindow = 0;
        refuses(c, "postWindow");
        c = rewards.rewardsConfig();
        c.claimWindow = 0;
        refuses(c, "claimWindow");
        // A challenge that is right must pay for itself.
        vm.mockCall(address(tuningCourt), abi.encodeWithSignature("highestCost()"), abi.encode(8e6 + 1));
        c = rewards.rewardsConfig();
        refuses(c, "bond");
        refuses(tasks.tasksConfig(), "minStake");
    }

    /// @dev Without a court all but disputes works: as with answers, what is wrong is then paid all the same.
    function test_withoutACourt() public {
        tune(IDisputeCourt(address(0)));
        bytes32 id = submitted();
        vm.expectRevert(ITuningTasks.NoCourt.selector);
        tasks.challengeCost();
        bytes memory call_ = challengeCall(id, 0);
        vm.prank(challenger);
        vm.expectRevert(ITuningTasks.NoCourt.selector);
        vault.payAndCall(address(tasks), 3e6, call_);
        pass(1 minutes);
        audit(id, judge);
        passWindows();
        tasks.settle(id, 0);
        assertEq(vault.balanceOf(node), 18e6);
    }
}
