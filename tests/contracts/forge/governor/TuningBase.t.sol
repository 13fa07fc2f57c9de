// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Base,
    IVault,
    IModelRegistry,
    INodeRegistry,
    ITuningGovernor,
    ITuningTasks,
    IEpochRewards,
    IDisputeCourt,
    Ruling,
    Case
} from "../Base.t.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IAssertions, Assertion, Standing} from "contracts/interfaces/IAssertions.sol";
import {IEpochRewardsPayments, Pot, RewardRoot} from "contracts/interfaces/IEpochRewards.sol";
import {ITuningGovernorPayments, Proposal, Epoch, Merge} from "contracts/interfaces/ITuningGovernor.sol";
import {
    ITuningTasksPayments,
    Outcome,
    Submission,
    TaskStatus,
    TuningFunction,
    TuningTask,
    TuningTerms
} from "contracts/interfaces/ITuningTasks.sol";
import {ITuningVotes, Holding, Poll} from "contracts/interfaces/ITuningVotes.sol";
import {TuningCourt} from "../doubles/TuningCourt.sol";
import {TuningFixture as T} from "../TuningFixture.sol";

/// @notice A tuning economy with a court that rules what it is told, holders with tokens, and nodes with stake.
abstract contract TuningBase is Base {
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 internal constant AMOUNT = 100e6;
    /// @dev Of AMOUNT, by hand: a fifth for preferences, 40 a shard, of which a tenth for the audit.
    uint256 internal constant MOST = 36e6;
    uint256 internal constant AUDIT_FEE = 4e6;
    bytes32 internal constant REFERENCE = keccak256("reference");
    uint32 internal constant VERSION = 3;

    ITuningTasks internal tasks;
    IEpochRewards internal rewards;
    TuningCourt internal tuningCourt;
    IERC20 internal shares;

    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    address internal sponsor = makeAddr("sponsor");
    address internal rival = makeAddr("rival node");
    address internal judge = makeAddr("judge");
    address internal challenger = makeAddr("challenger");

    function setUp() public virtual override {
        super.setUp();
        vm.roll(1000);
        tuningCourt = new TuningCourt(vault, modelId);
        tune(IDisputeCourt(address(tuningCourt)));
        fund(sponsor, 10_000e6);
        fund(challenger, 1000e6);
        fund(stranger, 1000e6);
        nextEpoch();
    }

    /// @dev A governor of its own under `court_`, with the same model, and stake of three nodes for its tasks.
    function tune(IDisputeCourt court_) internal {
        governor = deployTuning(vault, registry, court_);
        models = governor.models();
        tasks = governor.governorConfig().tasks;
        rewards = tasks.tasksConfig().rewards;
        vm.prank(trainer);
        (modelId,) = models.register(MODEL_NAME, "SMOL", MANIFEST, MODEL_FEE, SUPPLY);
        shares = IERC20(models.tokenOf(modelId));
        vm.startPrank(trainer);
        shares.transfer(alice, 300_000e18);
        shares.transfer(bob, 200_000e18);
        vm.stopPrank();
        tuner(node, 300e6);
        tuner(rival, 300e6);
        tuner(judge, 300e6);
    }

    function tuner(address account, uint256 amount) private {
        if (registry.operatorOf(account) == address(0)) {
            vm.prank(account);
            registry.setNode(account, 0, "");
        }
        stake(account, amount);
        vm.prank(account);
        registry.provision(address(tasks), modelId, 300e6);
    }

    // --- time

    function nextEpoch() internal {
        vm.warp((governor.currentEpoch() + 1) * T.EPOCH);
    }

    function pass(uint256 duration) internal {
        vm.warp(block.timestamp + duration);
        vm.roll(block.number + 3);
    }

    // --- holders

    function lock(address holder, uint256 amount) internal {
        vm.startPrank(holder);
        shares.approve(address(governor), amount);
        governor.lock(modelId, amount);
        vm.stopPrank();
    }

    function vote(address voter, bytes32 proposal, uint256 weight) internal {
        vm.prank(voter);
        governor.vote(proposal, weight);
    }

    function fundTreasury(uint256 amount) internal {
        vm.prank(sponsor);
        vault.payAndCall(address(governor), amount, abi.encode(modelId));
    }

    function someTerms() internal view returns (TuningTerms memory t) {
        (t.modelId, t.program, t.parameters) = (modelId, keccak256("program"), keccak256("parameters"));
        (t.shards, t.segments, t.shardCap, t.unitPrice, t.preferenceShare) = (2, 10, 500e6, 1e6, 2000);
    }

    function proposed(TuningTerms memory t) internal returns (Proposal memory p, bytes32 id) {
        p = Proposal(uint64(governor.currentEpoch()), stranger, t);
        vm.prank(stranger);
        id = governor.propose(t);
    }

    function proposed(bytes32 program) internal returns (Proposal memory p, bytes32 id) {
        TuningTerms memory t = someTerms();
        t.program = program;
        return proposed(t);
    }

    function one(Proposal memory p) internal pure returns (Proposal[] memory list) {
        list = new Proposal[](1);
        list[0] = p;
    }

    /// @dev An epoch whose only proposal has the votes of alice, closed with `amount` in the treasury.
    function closedEpoch(uint256 amount) internal returns (uint256 epoch, bytes32 function_) {
        lock(alice, 300_000e18);
        nextEpoch();
        fundTreasury(amount);
        (Proposal memory p, bytes32 id) = proposed(someTerms());
        vote(alice, id, 300_000e18);
        epoch = governor.currentEpoch();
        nextEpoch();
        governor.closeEpoch(modelId, one(p));
        function_ = tasks.functionId(address(governor), p.terms, 0, id);
    }

    // --- a task

    function start(TuningTerms memory t, uint256 amount) internal returns (bytes32 id) {
        vm.prank(sponsor);
        vault.payAndCall(address(tasks), amount, abi.encodeCall(ITuningTasksPayments.start, (t, VERSION, REFERENCE)));
        return tasks.functionId(sponsor, t, VERSION, REFERENCE);
    }

    function started() internal returns (bytes32 id) {
        return start(someTerms(), AMOUNT);
    }

    function claim(bytes32 id, uint256 shard, address who) internal {
        vm.prank(who);
        tasks.claim(id, shard, who, 0);
    }

    /// @dev Claimed by `node` at half of the most.
    function claimed() internal returns (bytes32 id) {
        id = started();
        pass(T.RISE / 2);
        claim(id, 0, node);
    }

    function someWork() internal pure returns (Submission memory s) {
        s = Submission(keccak256("adapter"), keccak256("trace"), keccak256("preferences"), 18e6);
    }

    function submitted() internal returns (bytes32 id) {
        id = claimed();
        vm.prank(node);
        tasks.submit(id, 0, someWork());
    }

    function audit(bytes32 id, address who) internal {
        vm.prank(who);
        tasks.audit(id, 0, who, keccak256("report"));
    }

    function audited() internal returns (bytes32 id) {
        id = submitted();
        pass(1 minutes);
        audit(id, judge);
    }

    function challengeCall(bytes32 id, uint256 segment) internal view returns (bytes memory) {
        return
            abi.encodeCall(
                ITuningTasksPayments.challenge, (id, 0, segment, someWork(), someTerms(), VERSION, REFERENCE)
            );
    }

    function challenge(bytes32 id, uint256 segment) internal returns (bytes32 subject) {
        uint256 cost = tasks.challengeCost();
        bytes memory call_ = challengeCall(id, segment);
        vm.prank(challenger);
        vault.payAndCall(address(tasks), cost, call_);
        return keccak256(abi.encode(id, uint256(0), uint256(tasks.taskOf(id, 0).attempt), segment));
    }

    function rule(bytes32 subject, Ruling ruling) internal {
        tuningCourt.rule(tasks, subject, ruling, 0);
    }

    function passWindows() internal {
        pass(2 * uint256(T.AUDIT) + T.CHALLENGE + 1);
    }

    // --- a merge, a root

    function postMerge(address who, Merge memory merge) internal returns (uint256) {
        vm.prank(who);
        vault.payAndCall(address(governor), T.BOND, abi.encodeCall(ITuningGovernorPayments.postMerge, (merge)));
        return governor.assertionCount();
    }

    function challengeMerge(uint256 id, Merge memory merge) internal {
        vm.prank(challenger);
        vault.payAndCall(address(governor), 3e6, abi.encodeCall(ITuningGovernorPayments.challengeMerge, (id, merge)));
    }

    function postRoot(address who, RewardRoot memory root) internal returns (uint256) {
        vm.prank(who);
        vault.payAndCall(address(rewards), T.BOND, abi.encodeCall(IEpochRewardsPayments.postRoot, (root)));
        return rewards.assertionCount();
    }

    // --- what everything must look like

    function stakeReserved(address who) internal view returns (uint256) {
        return registry.provisionOf(who, address(tasks), modelId).reserved;
    }

    function stakeOf(address who) internal view returns (uint256) {
        return registry.provisionOf(who, address(tasks), modelId).amount;
    }

    function assertTask(bytes32 id, TaskStatus expected) internal view {
        assertEq(uint256(tasks.taskOf(id, 0).status), uint256(expected), "status");
    }
}
