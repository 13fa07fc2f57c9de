// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {Vm} from "forge-std/Vm.sol";
import {IVault, Payment} from "contracts/interfaces/IVault.sol";
import {INodeRegistry, Provision} from "contracts/interfaces/INodeRegistry.sol";
import {ITuningGovernor} from "contracts/interfaces/ITuningGovernor.sol";
import {IModelRegistry} from "contracts/interfaces/IModelRegistry.sol";
import {IJobEscrow, IJobEscrowPayments, Job, Completion, Status} from "contracts/interfaces/IJobEscrow.sol";
import {Ruling} from "contracts/interfaces/IDisputable.sol";
import {Messages} from "contracts/libraries/Messages.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";
import {IDevUSD} from "../Base.t.sol";
import {CourtDouble} from "../doubles/CourtDouble.sol";

/// @notice Everybody who takes part, honest or not, as one fuzzed actor. A verb that can't be done now does nothing; one that should
/// work and reverts fails the run; one that should not work and does, too.
contract Market is CommonBase, StdUtils {
    struct Person {
        address account;
        uint256 key;
    }

    struct Entry {
        Job job;
        Completion completion;
        bytes openCall;
        bytes output;
        Status seen;
    }

    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant MAX_JOBS = 12;
    bytes32 internal constant SECRET = keccak256("secret");

    IDevUSD internal immutable token;
    IVault internal immutable vault;
    INodeRegistry internal immutable registry;
    IModelRegistry internal immutable models;
    IJobEscrow internal immutable escrow;
    address internal immutable governor;
    CourtDouble internal immutable court;
    uint256 internal immutable penalty;

    Person[2] internal clients;
    Person[2] internal nodes;
    /// @dev Each node's operator; changes.
    Person[2] internal operators;
    Person internal mallory;
    uint64[2] internal modelIds;
    address[] internal accounts;
    Entry[] internal entries;
    Entry internal nothing;
    uint256 internal nonce;
    uint256 internal time;

    /// @dev What was sent to a contract's account without telling it what for: nobody's, and never missed.
    mapping(address => uint256) internal stray;
    uint256 internal donated;
    uint256 internal staked;
    uint256 internal unstaked;
    uint256 internal slashed;
    uint256 internal burned;
    uint256 internal wonBySlash;
    /// @dev Fees of demands that were answered.
    uint256 internal burnedFees;

    /// @dev What the fixture's people own, whom nobody touches: tokens outside of these books, and stake.
    uint256 internal immutable outside;
    uint256 internal immutable othersStake;

    error Broken(string what);
    error Unequal(string what, uint256 found, uint256 expected);

    constructor(IDevUSD token_, IJobEscrow escrow_, CourtDouble court_, uint64[2] memory modelIds_) {
        token = token_;
        escrow = escrow_;
        court = court_;
        vault = escrow_.config().vault;
        registry = escrow_.config().nodes;
        models = escrow_.config().models;
        governor = address(escrow_.config().governor);
        penalty = escrow_.config().penalty;
        modelIds = modelIds_;
        time = block.timestamp;
        outside = token_.balanceOf(address(vault)) - vault.balanceOf(address(registry));
        othersStake = vault.balanceOf(address(registry));
        for (uint256 i = 0; i < 2; ++i) {
            clients[i] = person("client", i);
            nodes[i] = person("node", i);
            operators[i] = person("operator", i);
            accounts.push(clients[i].account);
            accounts.push(nodes[i].account);
        }
        mallory = person("mallory", 0);
        accounts.push(mallory.account);
        accounts.push(address(court));
        accounts.push(BURNED);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(nodes[i].account);
            registry.setNode(operators[i].account, 0, "");
            credit(clients[i].account, 1000e6);
            credit(mallory.account, 10e6);
            addStake(i, 200e6);
            for (uint256 m = 0; m < 2; ++m) {
                vm.prank(nodes[i].account);
                registry.provision(address(escrow), modelIds[m], 90e6);
            }
        }
    }

    function person(string memory role, uint256 i) private pure returns (Person memory who) {
        who.key = uint256(keccak256(abi.encode(role, i)));
        who.account = vm.addr(who.key);
    }

    // --- what holds around each verb

    /// @dev `actor` alone may have less afterwards; no job goes back.
    modifier by(address actor) {
        vm.warp(time);
        uint256[] memory before = balances();
        vm.recordLogs();
        _;
        readLogs(vm.getRecordedLogs());
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] != actor && vault.balanceOf(accounts[i]) < before[i]) {
                revert Broken("a balance fell without its owner's call or signature");
            }
        }
        for (uint256 i = 0; i < entries.length; ++i) {
            (Status status,) = escrow.jobStatus(entries[i].completion.jobHash);
            if (status < entries[i].seen) revert Broken("a job went back");
            entries[i].seen = status;
        }
    }

    function balances() private view returns (uint256[] memory all) {
        all = new uint256[](accounts.length);
        for (uint256 i = 0; i < all.length; ++i) {
            all[i] = vault.balanceOf(accounts[i]);
        }
    }

    function readLogs(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (topic == IJobEscrow.NodePunished.selector) {
                (uint256 taken, uint256 won, uint256 burned_) = abi.decode(logs[i].data, (uint256, uint256, uint256));
                if (taken != won + burned_) revert Broken("slashed is not paid + burned");
                if (taken > penalty) revert Broken("slashed more than the penalty");
                slashed += taken;
                burned += burned_;
                wonBySlash += won;
            } else if (topic == IVault.Paid.selector) {
                // A node may have itself paid into a contract's account: its own loss.
                address from = address(uint160(uint256(logs[i].topics[1])));
                address to = address(uint160(uint256(logs[i].topics[2])));
                bool lost = from == address(escrow) && (to == address(escrow) || to == address(registry));
                if (lost) stray[to] += abi.decode(logs[i].data, (uint256));
            }
        }
    }

    // --- money

    function credit(address account, uint256 amount) private {
        token.faucet(address(this), amount);
        token.approve(address(vault), amount);
        vault.deposit(account, amount);
    }

    function addStake(uint256 n, uint256 amount) private {
        credit(address(this), amount);
        vault.payAndCall(address(registry), amount, abi.encode(nodes[n].account));
        staked += amount;
    }

    function money(uint256 kind, uint256 from, uint256 to, uint256 amount) external {
        kind %= 5;
        if (kind == 0) deposit(to, amount);
        else if (kind == 1) withdraw(from, amount);
        else if (kind == 2) pay(from, to, amount);
        else if (kind == 3) paySigned(from, to, amount);
        else donate(amount);
    }

    function deposit(uint256 who, uint256 amount) private by(address(0)) {
        credit(accounts[who % 5], _bound(amount, 0, 1000e6));
    }

    function withdraw(uint256 who, uint256 amount) private by(accounts[who % 5]) {
        address account = accounts[who % 5];
        amount = _bound(amount, 0, vault.balanceOf(account) / 4);
        vm.prank(account);
        vault.withdraw(address(1), amount);
    }

    function pay(uint256 from, uint256 to, uint256 amount) private by(accounts[from % 5]) {
        address payer = accounts[from % 5];
        address payee = accounts[to % 5];
        if (to % 16 == 0) payee = to % 32 == 0 ? address(escrow) : address(registry);
        amount = _bound(amount, 0, vault.balanceOf(payer) / 8);
        vm.prank(payer);
        vault.pay(payee, amount);
        if (to % 16 == 0) stray[payee] += amount;
    }

    function donate(uint256 amount) private by(address(0)) {
        amount = _bound(amount, 0, 10e6);
        token.faucet(address(vault), amount);
        donated += amount;
    }

    function paySigned(uint256 from, uint256 to, uint256 amount) private by(clients[from % 2].account) {
        Person memory payer = clients[from % 2];
        amount = _bound(amount, 0, vault.balanceOf(payer.account) / 8);
        Payment memory payment = Payment(payer.account, accounts[to % 5], amount, "", ++nonce, uint64(time));
        bytes memory signature = signed(payment, payer.key);
        vm.startPrank(mallory.account);
        vault.paySigned(payment, signature);
        (bool again,) = address(vault).call(abi.encodeCall(IVault.paySigned, (payment, signature)));
        vm.stopPrank();
        if (again) revert Broken("a payment was sent twice");
    }

    function signed(Payment memory payment, uint256 key) private view returns (bytes memory) {
        bytes32 hash = keccak256(
            abi.encode(
                Messages.PAYMENT_TYPEHASH,
                payment.payer,
                payment.payee,
                payment.amount,
                keccak256(payment.data),
                payment.nonce,
                payment.deadline
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", vault.domainSeparator(), hash)));
        return abi.encodePacked(r, s, v);
    }

    // --- stake

    function stakes(uint256 kind, uint256 n, uint256 m, uint256 amount) external {
        kind %= 6;
        if (kind == 0) stake(n, amount);
        else if (kind == 1) unstake(n, amount);
        else if (kind == 2) provision(n, m, amount);
        else if (kind == 3) thaw(n, m, amount);
        else if (kind == 4) deprovision(n, m);
        else changeOperator(n, amount);
    }

    function stake(uint256 n, uint256 amount) private by(address(0)) {
        addStake(n % 2, _bound(amount, 0, 100e6));
    }

    function unstake(uint256 n, uint256 amount) private by(address(0)) {
        address node = nodes[n % 2].account;
        amount = _bound(amount, 0, registry.idleOf(node));
        vm.prank(node);
        registry.unstake(node, amount);
        unstaked += amount;
    }

    function provision(uint256 n, uint256 m, uint256 amount) private by(address(0)) {
        address node = nodes[n % 2].account;
        amount = _bound(amount, 0, registry.idleOf(node));
        vm.prank(node);
        registry.provision(address(escrow), modelIds[m % 2], amount);
    }

    function thaw(uint256 n, uint256 m, uint256 amount) private by(address(0)) {
        address node = nodes[n % 2].account;
        Provision memory p = registry.provisionOf(node, address(escrow), modelIds[m % 2]);
        vm.prank(node);
        registry.thaw(address(escrow), modelIds[m % 2], _bound(amount, 0, p.amount - p.reserved - p.thawing));
    }

    function deprovision(uint256 n, uint256 m) private by(address(0)) {
        address node = nodes[n % 2].account;
        Provision memory p = registry.provisionOf(node, address(escrow), modelIds[m % 2]);
        vm.prank(node);
        (bool ok,) =
            address(registry).call(abi.encodeCall(INodeRegistry.deprovision, (address(escrow), modelIds[m % 2])));
        if (ok != (p.thawing != 0 && time >= p.thawedAt)) revert Broken("stake came back at the wrong time");
    }

    function changeOperator(uint256 n, uint256 salt) private by(address(0)) {
        operators[n % 2] = person("operator", salt);
        vm.prank(nodes[n % 2].account);
        registry.setNode(operators[n % 2].account, 0, "");
    }

    // --- jobs

    function open(uint256 c, uint256 n, uint256 m, uint256 terms) external by(clients[c % 2].account) {
        if (entries.length == MAX_JOBS) return;
        Person memory client = clients[c % 2];
        Job memory job;
        job.collector = address(escrow);
        job.client = client.account;
        job.node = nodes[n % 2].account;
        job.modelId = modelIds[m % 2];
        job.promptTokens = uint32(1 + terms % 8);
        job.maxTokens = uint32(1 + (terms >> 8) % 8);
        job.promptHash = keccak256(new bytes(4 * job.promptTokens));
        job.secretHash = keccak256(abi.encode(SECRET));
        job.seed = uint64(entries.length);
        job.topP = 1_000_000;
        job.modelFee = models.feeOf(job.modelId, 0);
        job.inputPrice = job.modelFee + uint64(terms >> 16) % 1e12;
        job.outputPrice = job.modelFee + uint64(terms >> 80) % 1e12;
        (uint256 full,) =
            Pricing.settle(job.promptTokens, job.maxTokens, job.inputPrice, job.outputPrice, 0, type(uint256).max);
        if (full > vault.balanceOf(client.account)) return;
        job.ceiling = uint128(_bound(terms >> 144, full, vault.balanceOf(client.account)));
        job.deadline = uint64(time + (terms >> 4) % 1 hours);
        Provision memory p = registry.provisionOf(job.node, address(escrow), job.modelId);
        bool backed = p.amount - p.reserved - p.thawing >= penalty;
        bytes memory data = openCall(job, operators[n % 2].key);
        vm.prank(client.account);
        (bool ok,) = address(vault).call(abi.encodeCall(IVault.payAndCall, (address(escrow), job.ceiling, data)));
        if (ok != backed) revert Broken("a job opens when its penalty can be reserved, and only then");
        if (!ok) return;
        Entry storage entry = entries.push();
        entry.job = job;
        entry.openCall = data;
        entry.completion.jobHash = escrow.jobHash(job);
        entry.completion.node = job.node;
    }

    function openCall(Job memory job, uint256 key) private view returns (bytes memory) {
        uint64 expires = uint64(time + 365 days);
        bytes32 digest = Messages.acceptance(vault.domainSeparator(), escrow.jobHash(job), expires);
        (bytes32 r, bytes32 vs) = vm.signCompact(key, digest);
        return abi.encodeCall(IJobEscrowPayments.open, (job, expires, r, vs));
    }

    /// @dev The operator who accepted, whoever is in office now, is found by its address in the acceptance.
    function complete(uint256 j, uint256 claim) external by(address(0)) {
        (bool any, Entry storage entry) = pick(j, Status.Open, Status.Open);
        if (!any || time > entry.job.deadline) return;
        Completion memory completion = entry.completion;
        completion.outputTokens = uint32(1 + claim % entry.job.maxTokens);
        bytes memory output = new bytes(4 * completion.outputTokens);
        // Every fourth node has no output that would fit its hash.
        completion.outputHash = claim % 4 == 0 ? keccak256(abi.encode(claim)) : keccak256(output);
        completion.servedAt = uint64(claim);
        completion.payTo =
            [accounts[1], accounts[3], mallory.account, address(escrow), address(registry)][claim / 7 % 5];
        bytes memory data = abi.encodeCall(IJobEscrow.complete, (completion));
        vm.prank(acceptedBy(entry));
        (bool ok,) = address(escrow).call(data);
        if (!ok) revert Broken("the operator that accepted can complete");
        entry.completion = completion;
        entry.output = output;
    }

    function acceptedBy(Entry storage entry) private view returns (address) {
        bytes memory data = entry.openCall;
        uint256 expires;
        bytes32 r;
        bytes32 vs;
        assembly ("memory-safe") {
            expires := mload(add(data, 676))
            r := mload(add(data, 708))
            vs := mload(add(data, 740))
        }
        bytes32 digest = Messages.acceptance(vault.domainSeparator(), entry.completion.jobHash, uint64(expires));
        bytes32 s = vs & bytes32(uint256(type(int256).max));
        return ecrecover(digest, uint8(uint256(vs) >> 255) + 27, r, s);
    }

    function approve(uint256 j) external by(address(0)) {
        (bool any, Entry storage entry) = pick(j, Status.Completed, Status.Delivered);
        if (!any) return;
        if (entry.seen == Status.Demanded) burnedFees += escrow.deliveryCost(entry.completion.outputTokens);
        vm.prank(entry.job.client);
        escrow.approve(entry.job, entry.completion);
    }

    function demand(uint256 j) external by(clientOf(j, Status.Completed, Status.Completed)) {
        (bool any, Entry storage entry) = pick(j, Status.Completed, Status.Completed);
        if (!any) return;
        (, uint256 until) = escrow.jobStatus(entry.completion.jobHash);
        uint256 cost = escrow.deliveryCost(entry.completion.outputTokens);
        if (time > until || vault.balanceOf(entry.job.client) < cost) return;
        bytes memory data = abi.encodeCall(IJobEscrowPayments.demandDelivery, (entry.job, entry.completion));
        vm.prank(entry.job.client);
        vault.payAndCall(address(escrow), cost, data);
    }

    function deliver(uint256 j) external by(address(0)) {
        (bool any, Entry storage entry) = pick(j, Status.Demanded, Status.Demanded);
        if (!any) return;
        (, uint256 until) = escrow.jobStatus(entry.completion.jobHash);
        bool can = time <= until && keccak256(entry.output) == entry.completion.outputHash;
        (bool ok,) =
            address(escrow).call(abi.encodeCall(IJobEscrow.deliver, (entry.job, entry.completion, entry.output)));
        if (ok != can) revert Broken("only the output, and in time, is a delivery");
        if (ok) burnedFees += escrow.deliveryCost(entry.completion.outputTokens);
    }

    function challenge(uint256 j) external by(clientOf(j, Status.Completed, Status.Delivered)) {
        (bool any, Entry storage entry) = pick(j, Status.Completed, Status.Delivered);
        if (!any) return;
        (Status status, uint256 until) = escrow.jobStatus(entry.completion.jobHash);
        if (vault.balanceOf(entry.job.client) < court.BOND()) return;
        bool can = status != Status.Demanded && time <= until && keccak256(entry.output) == entry.completion.outputHash;
        bytes memory data = abi.encodeCall(
            IJobEscrowPayments.challenge,
            (entry.job, entry.completion, SECRET, new bytes(4 * entry.job.promptTokens), entry.output)
        );
        bytes memory call_ = abi.encodeCall(IVault.payAndCall, (address(escrow), court.BOND(), data));
        vm.prank(entry.job.client);
        (bool ok,) = address(vault).call(call_);
        if (ok != can) revert Broken("only evidence that fits, and in time, is a challenge");
    }

    /// @dev Rules on what is disputed, and now and then on whatever it likes.
    function rule(uint256 j, uint8 ruling, uint256 courtFee) external by(address(0)) {
        (bool any, Entry storage entry) = pick(j, j % 8 == 0 ? Status.None : Status.Disputed, Status.Disputed);
        if (!any) return;
        court.rule(escrow, entry.completion.jobHash, Ruling(ruling % 4), _bound(courtFee, 0, 30e6));
    }

    /// @dev Whatever anyone can do to end a job: it works when its time has come, and only then.
    function close(uint256 j) external by(address(0)) {
        if (entries.length == 0) return;
        tryClose(entries[j % entries.length]);
    }

    function tryClose(Entry storage entry) private {
        (Status status, uint256 until) = escrow.jobStatus(entry.completion.jobHash);
        bool due = time > until;
        bytes memory call_;
        if (status == Status.Open) {
            call_ = abi.encodeCall(IJobEscrow.expire, (entry.job));
        } else if (status == Status.Demanded) {
            call_ = abi.encodeCall(IJobEscrow.closeWithheld, (entry.job, entry.completion));
        } else if (status == Status.Completed || status == Status.Delivered) {
            Job[] memory jobs = new Job[](1);
            Completion[] memory completions = new Completion[](1);
            (jobs[0], completions[0]) = (entry.job, entry.completion);
            vm.prank(mallory.account);
            if (escrow.finalize(jobs, completions) != (due ? 1 : 0)) revert Broken("finalize pays what is due");
            return;
        } else {
            call_ = abi.encodeCall(IJobEscrow.closeDispute, (entry.job, entry.completion));
            due = due && status != Status.Final;
        }
        vm.prank(mallory.account);
        (bool ok,) = address(escrow).call(call_);
        if (ok != due) revert Broken("a job ends when its time has come, by anyone, and only then");
    }

    function finalizeAll(uint256 order) external by(address(0)) {
        uint256 count = entries.length;
        Job[] memory jobs = new Job[](count);
        Completion[] memory completions = new Completion[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 k = (i + order % 16) % count;
            (jobs[i], completions[i]) = (entries[k].job, entries[k].completion);
        }
        escrow.finalize(jobs, completions);
    }

    function pushFees(uint256 m) external by(address(0)) {
        escrow.pushModelFees(modelIds[m % 2]);
    }

    function wait_(uint256 seconds_) external {
        time += _bound(seconds_, 1, seconds_ % 16 == 0 ? 15 days : 45 minutes);
        vm.warp(time);
    }

    // --- crime

    /// @dev Each must fail, or leave everybody else as they were.
    function attack(uint256 kind, uint256 j, uint256 amount) external by(mallory.account) {
        if (entries.length == 0) return;
        Entry storage entry = entries[j % entries.length];
        Completion memory forged = entry.completion;
        forged.payTo = mallory.account;
        address node = entry.job.node;
        uint64 model = entry.job.modelId;
        kind %= 12;
        if (kind == 0) {
            fails(address(escrow), abi.encodeCall(IJobEscrow.complete, (forged)));
        } else if (kind == 1) {
            fails(address(escrow), abi.encodeCall(IJobEscrow.approve, (entry.job, entry.completion)));
        } else if (kind == 2) {
            fails(address(escrow), abi.encodeCall(escrow.onRuling, (forged.jobHash, Ruling.Upheld, amount)));
        } else if (kind == 3) {
            fails(
                address(escrow),
                abi.encodeCall(escrow.onVaultPayment, (entry.job.client, entry.job.ceiling, entry.openCall))
            );
        } else if (kind == 4) {
            fails(
                address(registry), abi.encodeCall(registry.onVaultPayment, (mallory.account, amount, abi.encode(node)))
            );
        } else if (kind == 5) {
            Payment memory payment = Payment(entry.job.client, mallory.account, 1, "", ++nonce, type(uint64).max);
            bytes memory signature = signed(payment, mallory.key);
            fails(address(vault), abi.encodeCall(IVault.paySigned, (payment, signature)));
        } else if (kind == 6) {
            // A used acceptance, by its own client.
            vm.prank(entry.job.client);
            (bool ok,) = address(vault)
                .call(abi.encodeCall(IVault.payAndCall, (address(escrow), entry.job.ceiling, entry.openCall)));
            if (ok) revert Broken("an acceptance was used twice");
        } else if (kind == 7) {
            Job[] memory jobs = new Job[](1);
            Completion[] memory completions = new Completion[](1);
            (jobs[0], completions[0]) = (entry.job, forged);
            if (entry.completion.payTo == mallory.account) return;
            if (escrow.finalize(jobs, completions) != 0) revert Broken("a forged completion was paid");
        } else if (kind == 8) {
            vm.prank(mallory.account);
            if (registry.slash(node, model, amount) != 0) revert Broken("a stranger slashed");
        } else if (kind == 9) {
            vm.prank(mallory.account);
            registry.release(node, model, amount);
        } else if (kind == 10) {
            fails(address(registry), abi.encodeCall(INodeRegistry.reserve, (node, model, _bound(amount, 1, 1e30))));
        } else {
            uint256 more = vault.balanceOf(mallory.account) + _bound(amount, 1, 1e30);
            fails(address(vault), abi.encodeCall(IVault.withdraw, (mallory.account, more)));
        }
    }

    function fails(address target, bytes memory data) private {
        vm.prank(mallory.account);
        (bool ok,) = target.call(data);
        if (ok) revert Broken("an attack worked");
    }

    // --- finding a job

    function pick(uint256 j, Status first, Status last) private view returns (bool any, Entry storage entry) {
        uint256 count = entries.length;
        entry = nothing;
        for (uint256 i = 0; i < count; ++i) {
            entry = entries[(j % count + i) % count];
            if (entry.seen >= first && entry.seen <= last) return (true, entry);
        }
        return (false, nothing);
    }

    function clientOf(uint256 j, Status first, Status last) private view returns (address) {
        (, Entry storage entry) = pick(j, first, last);
        return entry.job.client;
    }

    // --- what the books say

    function books() external view {
        uint256 inEscrow = vault.balanceOf(address(escrow));
        uint256 inRegistry = vault.balanceOf(address(registry));
        uint256 inGovernor = vault.balanceOf(governor);
        uint256 sum = inEscrow + inRegistry + inGovernor;
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += vault.balanceOf(accounts[i]);
        }
        // The Vault is solvent, and each contract's account covers what it owes, to the unit.
        equal(token.balanceOf(address(vault)), sum + outside + donated, "vault");
        equal(inEscrow, escrowOwes() + stray[address(escrow)], "escrow");
        uint256 stakes_ = nodesOwn();
        equal(inRegistry, stakes_ + othersStake + stray[address(registry)], "registry");
        ITuningGovernor treasury = ITuningGovernor(governor);
        equal(inGovernor, treasury.treasuryOf(modelIds[0]) + treasury.treasuryOf(modelIds[1]), "governor");
        // Slashed = paid + burned, and nothing else left the stake.
        equal(slashed, wonBySlash + burned, "slashed = paid + burned");
        equal(stakes_ + slashed + unstaked, staked, "stake");
        equal(vault.balanceOf(BURNED), burned + burnedFees, "burned");
    }

    function equal(uint256 a, uint256 b, string memory what) private pure {
        if (a != b) revert Unequal(what, a, b);
    }

    /// @dev Ceilings of jobs that are not over, fees of demands that are not answered, model fees not pushed.
    function escrowOwes() private view returns (uint256 sum) {
        for (uint256 i = 0; i < entries.length; ++i) {
            Status status = entries[i].seen;
            if (status == Status.Final) continue;
            sum += entries[i].job.ceiling;
            if (status == Status.Demanded) sum += escrow.deliveryCost(entries[i].completion.outputTokens);
        }
        sum += escrow.feesOf(modelIds[0]) + escrow.feesOf(modelIds[1]);
    }

    function nodesOwn() private view returns (uint256 sum) {
        for (uint256 n = 0; n < 2; ++n) {
            sum += registry.idleOf(nodes[n].account);
            for (uint256 m = 0; m < 2; ++m) {
                Provision memory p = registry.provisionOf(nodes[n].account, address(escrow), modelIds[m]);
                if (uint256(p.reserved) + p.thawing > p.amount) revert Broken("reserved + thawing <= amount");
                equal(p.reserved, penalty * liveJobs(n, m), "one penalty reserved for each job that is not over");
                sum += p.amount;
            }
        }
    }

    function liveJobs(uint256 n, uint256 m) private view returns (uint256 count) {
        for (uint256 i = 0; i < entries.length; ++i) {
            Entry storage entry = entries[i];
            bool its = entry.job.node == nodes[n].account && entry.job.modelId == modelIds[m];
            if (its && entry.seen != Status.Final) ++count;
        }
    }

    /// @dev The end: everybody goes, and gets what is theirs, without anybody's help.
    function everybodyLeaves() external {
        time += 365 days;
        vm.warp(time);
        vm.recordLogs();
        for (uint256 i = 0; i < entries.length; ++i) {
            if (entries[i].seen != Status.Final) tryClose(entries[i]);
            (Status status,) = escrow.jobStatus(entries[i].completion.jobHash);
            if (status != Status.Final) revert Broken("a job has no way out");
        }
        readLogs(vm.getRecordedLogs());
        for (uint256 m = 0; m < 2; ++m) {
            escrow.pushModelFees(modelIds[m]);
            for (uint256 n = 0; n < 2; ++n) {
                Provision memory p = registry.provisionOf(nodes[n].account, address(escrow), modelIds[m]);
                if (p.reserved != 0) revert Broken("stake stayed reserved for no job");
                vm.prank(nodes[n].account);
                registry.thaw(address(escrow), modelIds[m], p.amount - p.thawing);
            }
        }
        time += 365 days;
        vm.warp(time);
        for (uint256 n = 0; n < 2; ++n) {
            vm.startPrank(nodes[n].account);
            for (uint256 m = 0; m < 2; ++m) {
                if (registry.provisionOf(nodes[n].account, address(escrow), modelIds[m]).thawing == 0) continue;
                registry.deprovision(address(escrow), modelIds[m]);
            }
            registry.unstake(nodes[n].account, registry.idleOf(nodes[n].account));
            vm.stopPrank();
        }
        for (uint256 i = 0; i < 5; ++i) {
            uint256 mine = vault.balanceOf(accounts[i]);
            vm.prank(accounts[i]);
            vault.withdraw(address(1), mine);
        }
        equal(vault.balanceOf(address(escrow)), stray[address(escrow)], "escrow, emptied");
        equal(vault.balanceOf(address(registry)), othersStake + stray[address(registry)], "registry, emptied");
    }
}
