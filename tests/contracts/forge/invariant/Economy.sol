// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IVault} from "contracts/interfaces/IVault.sol";
import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {IModelRegistry} from "contracts/interfaces/IModelRegistry.sol";
import {IDisputable, Ruling} from "contracts/interfaces/IDisputable.sol";
import {IAssertions, Assertion, Standing} from "contracts/interfaces/IAssertions.sol";
import {IEpochRewards, IEpochRewardsPayments, Pot, RewardRoot} from "contracts/interfaces/IEpochRewards.sol";
import {
    ITuningGovernor,
    ITuningGovernorPayments,
    Epoch,
    Merge,
    Proposal
} from "contracts/interfaces/ITuningGovernor.sol";
import {
    ITuningTasks,
    ITuningTasksPayments,
    Submission,
    TaskStatus,
    TuningFunction,
    TuningTask,
    TuningTerms
} from "contracts/interfaces/ITuningTasks.sol";
import {Holding, Poll} from "contracts/interfaces/ITuningVotes.sol";
import {TuningCourt} from "../doubles/TuningCourt.sol";
import {TuningFixture as T} from "../TuningFixture.sol";

/// @notice Holders, nodes, challengers and posters as one fuzzed actor; the last holder and the last node are hostile. A verb that can't be done now does nothing;
/// one that must work and reverts fails the run; one that must not work and does, too.
contract Economy is CommonBase, StdUtils {
    struct Started {
        bytes32 id;
        address payer;
        TuningTerms terms;
        uint32 version;
        bytes32 reference_;
        bytes32 pot;
    }

    uint256 internal constant PEOPLE = 3;
    uint256 internal constant MAX_PROPOSALS = 16;
    uint256 internal constant MAX_FUNCTIONS = 6;
    uint256 internal constant MAX_ASSERTIONS = 8;

    ITuningGovernor internal immutable governor;
    ITuningTasks internal immutable tasks;
    IEpochRewards internal immutable rewards;
    IVault internal immutable vault;
    INodeRegistry internal immutable registry;
    IModelRegistry internal immutable models;
    IERC20 internal immutable shares;
    TuningCourt internal immutable court;
    uint64 internal immutable modelId;
    uint256 internal time;
    uint256 internal height;
    uint256 internal nonce;

    address[] internal holders;
    address[] internal nodes;
    address internal immutable sponsor;

    Proposal[] internal proposals;
    Started[] internal started;
    Merge[] internal merges;
    RewardRoot[] internal roots;
    bytes32[] internal subjects;
    /// @dev What came into the model's treasury, and what it gave.
    uint256 public feesIn;
    uint256 public paidOut;
    mapping(uint256 epoch => uint256) public spentIn;

    error Broken(string what);

    constructor(
        ITuningGovernor governor_,
        TuningCourt court_,
        uint64 modelId_,
        address sponsor_,
        address[] memory holders_,
        address[] memory nodes_
    ) {
        (governor, court, modelId, sponsor) = (governor_, court_, modelId_, sponsor_);
        (holders, nodes) = (holders_, nodes_);
        tasks = governor_.governorConfig().tasks;
        rewards = tasks.tasksConfig().rewards;
        vault = governor_.vault();
        registry = tasks.tasksConfig().nodes;
        models = governor_.models();
        shares = IERC20(models.tokenOf(modelId_));
        (time, height) = (block.timestamp, block.number);
    }

    modifier now_() {
        vm.warp(time);
        vm.roll(height);
        _;
    }

    function wait_(uint256 seconds_) external {
        time += _bound(seconds_, 1, seconds_ % 4 == 0 ? 8 days : 3 hours);
        height += 3;
    }

    /// @dev To a moment at which something begins.
    function waitFor(uint256 kind, uint256 which) external {
        uint256 until = (time / T.EPOCH + 1) * T.EPOCH;
        kind %= 4;
        if (kind == 1 && started.length != 0) until = rewards.potOf(started[which % started.length].pot).from;
        else if (kind == 2) until = governor.mergeFrom(time / T.EPOCH - which % 4);
        else if (kind == 3) until = time + 2 * uint256(T.AUDIT) + T.CHALLENGE + 1;
        if (until <= time) return;
        time = until;
        height += 3;
    }

    // --- holders

    function hold(uint256 who, uint256 kind, uint256 amount) external now_ {
        address holder = holders[who % PEOPLE];
        kind %= 4;
        vm.startPrank(holder);
        if (kind == 0) {
            amount = _bound(amount, 0, shares.balanceOf(holder));
            shares.approve(address(governor), amount);
            if (amount != 0) governor.lock(modelId, amount);
        } else if (kind == 1) {
            amount = _bound(amount, 0, governor.holdingOf(modelId, holder).locked);
            if (amount != 0) governor.unlock(modelId, amount);
        } else if (kind == 2) {
            Holding memory h = governor.holdingOf(modelId, holder);
            (bool ok,) = address(governor).call(abi.encodeCall(governor.withdraw, (modelId)));
            if (ok != (h.leaving != 0 && time >= h.leavesAt)) {
                revert Broken("unlocked tokens leave when their epoch is over");
            }
        } else {
            governor.delegate(modelId, holders[amount % PEOPLE]);
        }
        vm.stopPrank();
    }

    function propose(uint256 shards, uint256 cap, uint16 share) external now_ {
        if (proposals.length == MAX_PROPOSALS) return;
        uint256 epoch = governor.currentEpoch();
        TuningTerms memory t;
        (t.modelId, t.program, t.parameters) = (modelId, keccak256(abi.encode(++nonce)), 0);
        (t.shards, t.segments, t.unitPrice) = (uint16(_bound(shards, 1, 3)), 10, 1e6);
        (t.shardCap, t.preferenceShare) = (uint72(_bound(cap, 1, 200e6)), share % 5001);
        (bool ok,) = address(governor).call(abi.encodeCall(governor.propose, (t)));
        if (ok != (time < (epoch + 1) * T.EPOCH - T.REVIEW)) revert Broken("proposed in time, and only then");
        if (ok) proposals.push(Proposal(uint64(epoch), address(this), t));
    }

    function vote(uint256 who, uint256 which, uint256 weight) external now_ {
        if (proposals.length == 0) return;
        address voter = holders[who % PEOPLE];
        Proposal memory p = proposals[which % 3 == 0 ? which % proposals.length : proposals.length - 1];
        bytes32 id = governor.proposalId(p);
        uint256 epoch = governor.currentEpoch();
        uint256 power = governor.powerOf(modelId, voter, epoch);
        weight = _bound(weight, 0, power + power / 8 + 1);
        uint256 used =
            governor.usedOf(modelId, voter, epoch) + weight - (p.epoch == epoch ? governor.voteOf(id, voter) : 0);
        vm.prank(voter);
        (bool ok,) = address(governor).call(abi.encodeCall(governor.vote, (id, weight)));
        if (ok != (p.epoch == epoch && used <= power)) revert Broken("votes are within power and time");
    }

    function fund(uint256 amount) external now_ {
        amount = _bound(amount, 0, 200e6);
        if (vault.balanceOf(sponsor) < amount) return;
        vm.prank(sponsor);
        vault.payAndCall(address(governor), amount, abi.encode(modelId));
        feesIn += amount;
    }

    /// @dev Any two proposals, however old, and the second twice.
    function close(uint256 a, uint256 b) external now_ {
        if (proposals.length == 0) return;
        Proposal[] memory list = new Proposal[](3);
        list[0] = proposals[a % proposals.length];
        list[1] = proposals[b % proposals.length];
        list[2] = list[1];
        uint256 epoch = governor.currentEpoch() - 1;
        bool due = time <= (epoch + 1) * T.EPOCH + T.CLOSE && governor.epochOf(modelId, epoch).qualified != 0;
        if (due && started.length > MAX_FUNCTIONS) return;
        uint256 before = governor.treasuryOf(modelId);
        (bool ok,) = address(governor).call(abi.encodeCall(governor.closeEpoch, (modelId, list)));
        if (ok != due) revert Broken("an epoch is closed in its window, and only then");
        if (!ok) return;
        uint256 spent = before - governor.treasuryOf(modelId);
        paidOut += spent;
        spentIn[epoch] += spent;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 proposal = governor.proposalId(list[i]);
            uint32 parent = governor.epochOf(modelId, epoch).parent;
            remember(address(governor), list[i].terms, parent, proposal);
        }
    }

    /// @dev An epoch as it should go, as far as it can from here.
    function campaign(uint256 amount, uint256 shards, uint256 cap, uint16 share) external {
        if (started.length >= MAX_FUNCTIONS) return;
        this.fund(amount);
        uint256 before = proposals.length;
        this.propose(shards, cap, share);
        if (proposals.length == before) return;
        for (uint256 i = 0; i < 2; ++i) {
            this.vote(i, 3 * before + 1, governor.powerOf(modelId, holders[i], governor.currentEpoch()) / 2);
        }
        this.waitFor(0, 0);
        this.close(before, before);
    }

    function start(uint256 amount, uint16 share) external now_ {
        if (started.length >= MAX_FUNCTIONS) return;
        amount = _bound(amount, 1, 100e6);
        TuningTerms memory t;
        (t.modelId, t.program) = (modelId, keccak256("program"));
        (t.shards, t.segments, t.shardCap, t.unitPrice, t.preferenceShare) = (1, 10, 1, 1e6, share % 5001);
        if (vault.balanceOf(sponsor) < amount) return;
        bytes32 reference_ = bytes32(++nonce);
        vm.prank(sponsor);
        vault.payAndCall(address(tasks), amount, abi.encodeCall(ITuningTasksPayments.start, (t, 7, reference_)));
        remember(sponsor, t, 7, reference_);
    }

    function remember(address payer, TuningTerms memory t, uint32 version, bytes32 reference_) private {
        bytes32 id = tasks.functionId(payer, t, version, reference_);
        if (tasks.functionOf(id).start == 0) return;
        for (uint256 i = 0; i < started.length; ++i) {
            if (started[i].id == id) return;
        }
        started.push(Started(id, payer, t, version, reference_, rewards.potId(address(tasks), id)));
    }

    // --- nodes

    function pick(uint256 which) private view returns (bool any, Started memory s, uint256 shard, TuningTask memory t) {
        if (started.length == 0) return (false, s, 0, t);
        s = started[which % started.length];
        shard = (which >> 64) % s.terms.shards;
        return (true, s, shard, tasks.taskOf(s.id, shard));
    }

    function claim(uint256 which, uint256 who) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        if (!any) return;
        address node = nodes[who % PEOPLE];
        uint256 price = tasks.priceOf(s.id, shard);
        vm.prank(node);
        (bool ok,) = address(tasks).call(abi.encodeCall(tasks.claim, (s.id, shard, node, 0)));
        if (!ok) return;
        if (t.status != TaskStatus.Open && (t.status != TaskStatus.Claimed || time <= t.time)) {
            revert Broken("claimed what was taken");
        }
        if (time > tasks.functionOf(s.id).start + T.CLAIM) revert Broken("claimed too late");
        if (tasks.taskOf(s.id, shard).price != price || price > tasks.functionOf(s.id).most) revert Broken("pay");
    }

    /// @dev Whoever: only the claimant may.
    function submit(uint256 which, uint256 who) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        if (!any) return;
        address caller = who % 4 == 0 ? nodes[(who >> 8) % PEOPLE] : t.node;
        vm.prank(caller);
        (bool ok,) = address(tasks).call(abi.encodeCall(tasks.submit, (s.id, shard, work())));
        if (ok != (t.status == TaskStatus.Claimed && caller == t.node && time <= t.time)) {
            revert Broken("handed in by its node, in time, and only so");
        }
    }

    /// @dev A task as it should go, as far as it can from here.
    function toil(uint256 which, uint256 who, uint256 delay) external {
        time += delay % 12 hours;
        this.claim(which, who);
        this.submit(which, 4 * (who % PEOPLE) + 1);
        (time, height) = (time + 36, height + 3);
        this.audit(which, who % PEOPLE + 1);
    }

    function work() private pure returns (Submission memory) {
        return Submission(keccak256("adapter"), keccak256("trace"), 0, 40e6);
    }

    function audit(uint256 which, uint256 who) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        if (!any) return;
        address node = nodes[who % PEOPLE];
        vm.prank(node);
        (bool ok,) = address(tasks).call(abi.encodeCall(tasks.audit, (s.id, shard, node, 0)));
        if (ok && (node == t.node || time > t.time + 2 * uint256(T.AUDIT))) {
            revert Broken("audited oneself, or too late");
        }
    }

    function challenge(uint256 which, uint256 segment) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        if (!any || subjects.length > 20) return;
        segment %= 11;
        bytes memory data = abi.encodeCall(
            ITuningTasksPayments.challenge, (s.id, shard, segment, work(), s.terms, s.version, s.reference_)
        );
        vm.prank(sponsor);
        (bool ok,) = address(vault).call(abi.encodeCall(vault.payAndCall, (address(tasks), 3e6, data)));
        if (!ok) return;
        if (segment == 10 || t.challenged >> segment & 1 != 0) revert Broken("challenged twice");
        if (time > t.time + 2 * uint256(T.AUDIT) + T.CHALLENGE) revert Broken("challenged too late");
        subjects.push(keccak256(abi.encode(s.id, shard, uint256(t.attempt), segment)));
    }

    function rule(uint256 which, uint8 ruling, uint256 courtFee) external now_ {
        if (subjects.length == 0) return;
        court.rule(IDisputable(address(tasks)), subjects[which % subjects.length], Ruling(ruling % 4), courtFee % 30e6);
    }

    /// @dev A task that is handed in, challenged and judged.
    function trial(uint256 which, uint256 who, uint256 segment, uint8 ruling) external {
        this.toil(which, who, 0);
        uint256 before = subjects.length;
        this.challenge(which, segment);
        if (subjects.length != before) this.rule(before, ruling, 0);
        if (segment % 2 == 0) this.settle(which);
    }

    function settle(uint256 which) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        if (any) trySettle(s, shard, t);
    }

    function trySettle(Started memory s, uint256 shard, TuningTask memory t) private {
        uint256 until = t.time;
        if (t.status == TaskStatus.Submitted) {
            until += 2 * uint256(T.AUDIT) + T.CHALLENGE;
            if (t.openDisputes != 0) until += T.DISPUTE;
            else if (t.auditor == address(0) && !t.undecided) until -= T.CHALLENGE;
            if (t.winner != address(0)) until = 0;
        }
        bool due = time > until && (t.status == TaskStatus.Claimed || t.status == TaskStatus.Submitted);
        uint256 had = vault.balanceOf(t.node);
        (bool ok,) = address(tasks).call(abi.encodeCall(tasks.settle, (s.id, shard)));
        if (ok != due) revert Broken("a task ends when its time has come, by anyone, and only then");
        if (!ok) return;
        TaskStatus after_ = tasks.taskOf(s.id, shard).status;
        bool paid = after_ == TaskStatus.Accepted;
        if (after_ != TaskStatus.Open && !paid) revert Broken("settled to what?");
        uint256 got = vault.balanceOf(t.node) - had;
        if (!paid && got != 0) revert Broken("paid for nothing");
        if (paid && (got > t.price || t.auditor == address(0) || t.winner != address(0))) {
            revert Broken("paid wrongly");
        }
        if (paid && time <= t.time + 2 * uint256(T.AUDIT) + T.CHALLENGE) revert Broken("paid before its window");
    }

    function sweep(uint256 which) external now_ {
        if (started.length != 0) trySweep(started[which % started.length]);
    }

    function trySweep(Started memory s) private {
        uint256 before = governor.treasuryOf(modelId);
        (bool ok,) = address(tasks).call(abi.encodeCall(tasks.sweep, (s.id)));
        if (ok != (time > tasks.functionOf(s.id).start + T.CLAIM)) {
            revert Broken("swept when nothing can be claimed any more");
        }
        feesIn += governor.treasuryOf(modelId) - before;
        if (rewards.potOf(s.pot).from == 0) return;
        before = governor.treasuryOf(modelId);
        (ok,) = address(rewards).call(abi.encodeCall(rewards.sweep, (s.pot)));
        if (ok != (time >= rewards.sweepFrom(s.pot))) revert Broken("a pot is swept when it is over");
        feesIn += governor.treasuryOf(modelId) - before;
    }

    // --- merges and roots

    function postMerge(uint256 back, bytes32 manifest) external now_ {
        if (merges.length == MAX_ASSERTIONS || manifest == 0) return;
        uint256 epoch = governor.currentEpoch() - back % 6;
        Merge memory m = Merge(modelId, uint64(epoch), manifest);
        vm.prank(sponsor);
        (bool ok,) = address(vault)
            .call(
                abi.encodeCall(
                    vault.payAndCall,
                    (address(governor), T.BOND, abi.encodeCall(ITuningGovernorPayments.postMerge, (m)))
                )
            );
        if (!ok) return;
        if (time < governor.mergeFrom(epoch) || governor.epochOf(modelId, epoch).functions == 0) {
            revert Broken("posted too early");
        }
        merges.push(m);
    }

    function challengeMerge(uint256 which) external now_ {
        if (merges.length == 0) return;
        uint256 i = which % merges.length;
        bytes memory data = abi.encodeCall(ITuningGovernorPayments.challengeMerge, (i + 1, merges[i]));
        vm.prank(holders[0]);
        (bool ok,) = address(vault).call(abi.encodeCall(vault.payAndCall, (address(governor), 3e6, data)));
        ok;
    }

    function finishMerge(uint256 which, uint8 ruling) external now_ {
        if (merges.length == 0) return;
        uint256 i = which % merges.length;
        if (ruling % 8 < 4) court.rule(IDisputable(address(governor)), bytes32(i + 1), Ruling(ruling % 4), 0);
        tryFinishMerge(i);
    }

    function tryFinishMerge(uint256 i) private {
        uint32 before = models.latestVersion(modelId);
        Assertion memory a = governor.assertionOf(i + 1);
        bool due = overBy(a);
        (bool ok,) = address(governor).call(abi.encodeCall(governor.finishMerge, (i + 1, merges[i])));
        if (ok != due) revert Broken("an assertion ends when its time has come");
        bool stood = a.standing == Standing.Posted || a.standing == Standing.Dismissed;
        if (models.latestVersion(modelId) != before && (!ok || !stood)) revert Broken("published what did not stand");
    }

    function overBy(Assertion memory a) private view returns (bool) {
        if (a.standing == Standing.Settled || a.standing == Standing.None) return false;
        return a.standing > Standing.Disputed || time > a.until;
    }

    function postRoot(uint256 which, uint256 amount) external now_ {
        if (started.length == 0 || roots.length == MAX_ASSERTIONS) return;
        bytes32 pot = started[which % started.length].pot;
        amount = _bound(amount, 0, 40e6);
        // A tree of one leaf: the first holder's.
        RewardRoot memory r = RewardRoot(pot, leaf(pot, amount), rewards.potOf(pot).left, 0);
        vm.prank(sponsor);
        (bool ok,) = address(vault)
            .call(
                abi.encodeCall(
                    vault.payAndCall, (address(rewards), T.BOND, abi.encodeCall(IEpochRewardsPayments.postRoot, (r)))
                )
            );
        if (ok) roots.push(r);
    }

    /// @dev A pot as it should go.
    function reward(uint256 which, uint256 amount) external {
        if (started.length == 0) return;
        uint256 from = rewards.potOf(started[which % started.length].pot).from;
        if (time < from) (time, height) = (from, height + 3);
        uint256 before = roots.length;
        this.postRoot(which, amount);
        if (roots.length == before) return;
        time += T.CHALLENGE + 1;
        this.finishRoot(before, 7);
        this.claimReward(before, amount);
        this.claimReward(before, amount);
    }

    function leaf(bytes32 pot, uint256 amount) private view returns (bytes32) {
        return
            keccak256(bytes.concat(keccak256(abi.encode(pot, uint256(0), holders[0], amount, 2 * amount, bytes32(0)))));
    }

    function finishRoot(uint256 which, uint8 ruling) external now_ {
        if (roots.length == 0) return;
        uint256 i = which % roots.length;
        if (ruling % 8 < 4) {
            bytes memory data = abi.encodeCall(IEpochRewardsPayments.challengeRoot, (i + 1, roots[i]));
            vm.prank(holders[0]);
            (bool ok,) = address(vault).call(abi.encodeCall(vault.payAndCall, (address(rewards), 3e6, data)));
            ok;
            court.rule(IDisputable(address(rewards)), bytes32(i + 1), Ruling(ruling % 4), 0);
        }
        tryFinishRoot(i);
    }

    function tryFinishRoot(uint256 i) private {
        bool due = overBy(rewards.assertionOf(i + 1));
        (bool ok,) = address(rewards).call(abi.encodeCall(rewards.finishRoot, (i + 1, roots[i])));
        if (ok != due) revert Broken("an assertion ends when its time has come");
    }

    function claimReward(uint256 which, uint256 amount) external now_ {
        if (roots.length == 0) return;
        RewardRoot memory r = roots[which % roots.length];
        amount = _bound(amount, 0, 40e6);
        bool had = rewards.claimed(r.pot, 0);
        uint256 left = rewards.potOf(r.pot).left;
        (bool ok,) = address(rewards)
            .call(abi.encodeCall(rewards.claim, (r.pot, 0, holders[0], amount, 2 * amount, 0, new bytes32[](0))));
        if (!ok) return;
        if (had) revert Broken("claimed twice");
        if (left - rewards.potOf(r.pot).left != amount) revert Broken("claimed something else");
    }

    // --- crime

    /// @dev Each must fail.
    function attack(uint256 kind, uint256 which) external now_ {
        (bool any, Started memory s, uint256 shard, TuningTask memory t) = pick(which);
        address mallory = holders[2];
        if (!any) return;
        kind %= 9;
        vm.startPrank(mallory);
        if (kind == 0) {
            fails(address(tasks), abi.encodeCall(tasks.submit, (s.id, shard, work())));
        } else if (kind == 1) {
            fails(address(tasks), abi.encodeCall(tasks.claim, (s.id, shard, nodes[0], 0)));
        } else if (kind == 2) {
            fails(address(tasks), abi.encodeCall(tasks.audit, (s.id, shard, nodes[0], 0)));
        } else if (kind == 3) {
            fails(address(tasks), abi.encodeCall(tasks.onRuling, (bytes32(which), Ruling.Upheld, 0)));
            fails(address(governor), abi.encodeCall(governor.onRuling, (bytes32(uint256(1)), Ruling.Dismissed, 0)));
        } else if (kind == 4) {
            fails(address(governor), abi.encodeCall(governor.onVaultPayment, (mallory, 1e9, abi.encode(modelId))));
        } else if (kind == 5) {
            fails(address(models), abi.encodeCall(models.publish, (modelId, keccak256("mine"), 0, 0)));
        } else if (kind == 6) {
            uint256 power = governor.powerOf(modelId, mallory, governor.currentEpoch());
            bytes32 id = proposals.length == 0 ? bytes32(0) : governor.proposalId(proposals[proposals.length - 1]);
            fails(address(governor), abi.encodeCall(governor.vote, (id, power + 1)));
        } else if (kind == 7) {
            bytes memory data = abi.encodeCall(ITuningTasksPayments.start, (s.terms, s.version, s.reference_));
            fails(address(tasks), abi.encodeCall(tasks.onVaultPayment, (s.payer, 1e9, data)));
        } else {
            fails(
                address(rewards),
                abi.encodeCall(rewards.claim, (s.pot, 1, mallory, 1, 2, bytes32(which), new bytes32[](0)))
            );
        }
        vm.stopPrank();
        t;
    }

    function fails(address target, bytes memory data) private {
        (bool ok,) = target.call(data);
        if (ok) revert Broken("an attack worked");
    }

    // --- what the books say

    function books() external view {
        equal(governor.treasuryOf(modelId), feesIn - paidOut, "treasury = in - out");
        equal(
            vault.balanceOf(address(governor)),
            governor.treasuryOf(modelId) + bonds(governor, merges.length),
            "governor"
        );
        uint256 inTasks;
        uint256 inPots;
        uint256 reserved;
        for (uint256 i = 0; i < started.length; ++i) {
            TuningFunction memory f = tasks.functionOf(started[i].id);
            inTasks += f.left;
            inPots += rewards.potOf(started[i].pot).left;
            uint256 committed;
            for (uint256 k = 0; k < f.shards; ++k) {
                TuningTask memory t = tasks.taskOf(started[i].id, k);
                if (t.status != TaskStatus.Claimed && t.status != TaskStatus.Submitted) continue;
                committed += t.price + f.auditFee;
                reserved += t.stake + (t.auditor == address(0) ? 0 : T.AUDIT_STAKE);
            }
            equal(f.committed, committed, "what is promised");
            if (f.committed > f.left) revert Broken("more promised than there is");
        }
        equal(vault.balanceOf(address(tasks)), inTasks, "tasks");
        equal(vault.balanceOf(address(rewards)), inPots + bonds(rewards, roots.length), "rewards");
        for (uint256 i = 0; i < PEOPLE; ++i) {
            reserved -= registry.provisionOf(nodes[i], address(tasks), modelId).reserved;
        }
        equal(reserved, 0, "stake");
        votes();
    }

    function bonds(IAssertions where, uint256 count) private view returns (uint256 sum) {
        for (uint256 i = 1; i <= count; ++i) {
            if (where.assertionOf(i).standing != Standing.Settled) sum += T.BOND;
        }
    }

    function votes() private view {
        uint256 epoch = governor.currentEpoch();
        uint256 held;
        uint256 locked;
        uint256 power;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            Holding memory h = governor.holdingOf(modelId, holders[i]);
            locked += h.locked;
            held += h.locked + h.leaving;
            power += governor.powerOf(modelId, holders[i], epoch + 1);
            if (governor.usedOf(modelId, holders[i], epoch) > governor.powerOf(modelId, holders[i], epoch)) {
                revert Broken("voted above power");
            }
        }
        equal(shares.balanceOf(address(governor)), held, "tokens");
        equal(power, locked, "power is what is locked");
        uint256 above;
        uint256 total;
        for (uint256 i = 0; i < proposals.length; ++i) {
            bytes32 id = governor.proposalId(proposals[i]);
            Poll memory poll = governor.pollOf(id);
            uint256 sum;
            for (uint256 k = 0; k < PEOPLE; ++k) {
                sum += governor.voteOf(id, holders[k]);
            }
            equal(poll.votes, sum, "votes");
            if (poll.epoch != epoch) continue;
            total += sum;
            if (sum >= governor.quorumOf(modelId)) above += sum;
        }
        equal(governor.epochOf(modelId, epoch).qualified, above, "votes above the quorum");
        // Votes recorded in an epoch are no more than the tokens locked in it.
        if (total > held) revert Broken("more votes than tokens");
        for (uint256 back = 0; back < 4; ++back) {
            Epoch memory e = governor.epochOf(modelId, epoch - back);
            equal(e.spent, spentIn[epoch - back], "spent");
            if (e.spent > e.budget) revert Broken("a budget was spent twice");
        }
    }

    function equal(uint256 a, uint256 b, string memory what) private pure {
        if (a != b) revert Broken(what);
    }

    /// @dev The end: nobody does anything but end what is over, and everybody has what is theirs.
    function everybodyLeaves() external {
        time += 365 days;
        vm.warp(time);
        for (uint256 i = 0; i < started.length; ++i) {
            for (uint256 k = 0; k < started[i].terms.shards; ++k) {
                TuningTask memory t = tasks.taskOf(started[i].id, k);
                trySettle(started[i], k, t);
                TaskStatus status = tasks.taskOf(started[i].id, k).status;
                if (status == TaskStatus.Claimed || status == TaskStatus.Submitted) {
                    revert Broken("a task has no way out");
                }
            }
        }
        for (uint256 i = 0; i < merges.length; ++i) {
            tryFinishMerge(i);
        }
        for (uint256 i = 0; i < roots.length; ++i) {
            tryFinishRoot(i);
        }
        time += 365 days;
        vm.warp(time);
        for (uint256 i = 0; i < started.length; ++i) {
            trySweep(started[i]);
        }
        for (uint256 i = 0; i < PEOPLE; ++i) {
            uint256 locked = governor.holdingOf(modelId, holders[i]).locked;
            if (locked == 0) continue;
            vm.prank(holders[i]);
            governor.unlock(modelId, locked);
        }
        time += T.EPOCH;
        vm.warp(time);
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (governor.holdingOf(modelId, holders[i]).leaving == 0) continue;
            vm.prank(holders[i]);
            governor.withdraw(modelId);
        }
        equal(shares.balanceOf(address(governor)), 0, "tokens, emptied");
        equal(vault.balanceOf(address(tasks)), 0, "tasks, emptied");
        equal(vault.balanceOf(address(rewards)), 0, "rewards, emptied");
        equal(
            vault.balanceOf(address(governor)), governor.treasuryOf(modelId), "governor, emptied but for the treasury"
        );
    }
}
