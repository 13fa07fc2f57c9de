// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {Vm} from "forge-std/Vm.sol";
import {IVault} from "contracts/interfaces/IVault.sol";
import {INodeRegistry, Provision} from "contracts/interfaces/INodeRegistry.sol";
import {ITuningGovernor} from "contracts/interfaces/ITuningGovernor.sol";
import {Job} from "contracts/interfaces/IJobEscrow.sol";
import {
    Channel,
    ChannelDispute,
    ChannelState,
    ChannelStatus,
    Claim,
    CollectorConfig,
    DisputeStatus,
    IVoucherCollector,
    IVoucherCollectorPayments,
    Receipt
} from "contracts/interfaces/IVoucherCollector.sol";
import {Ruling} from "contracts/interfaces/IDisputable.sol";
import {Messages} from "contracts/libraries/Messages.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";
import {IDevUSD} from "../Base.t.sol";
import {CourtDouble} from "../doubles/CourtDouble.sol";

/// @notice Payers, nodes and a thief around one collector, as one fuzzed actor. A verb that can't be done now does nothing; one that should
/// work and reverts fails the run; one that should not work and does, too.
contract Tollhouse is CommonBase, StdUtils {
    struct Person {
        address account;
        uint256 key;
    }

    struct Entry {
        Channel channel;
        bytes32 id;
        ChannelState seen;
        bytes32 subject;
        Claim last;
        uint256 putIn;
        uint256 paidOut;
        uint64 receipts;
    }

    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant MAX_CHANNELS = 8;
    bytes32 internal constant SECRET = keccak256("secret");

    IDevUSD internal immutable token;
    IVault internal immutable vault;
    INodeRegistry internal immutable registry;
    IVoucherCollector internal immutable collector;
    ITuningGovernor internal immutable governor;
    CourtDouble internal immutable court;
    uint256 internal immutable penalty;
    uint256 internal immutable window;
    uint256 internal immutable othersStake;

    Person[2] internal payers;
    Person[2] internal sessions;
    Person[2] internal nodes;
    /// @dev Each node's operator; changes.
    Person[2] internal operators;
    Person internal mallory;
    uint64[2] internal modelIds;
    uint64[2] internal modelFees;
    address[] internal accounts;
    Entry[] internal entries;
    uint256 internal time;
    uint256 internal stray;
    uint256 internal slashed;
    uint256 internal won;
    uint256 internal burned;
    uint256 internal nodesStake;
    uint256 internal pushed;

    error Broken(string what);
    error Unequal(string what, uint256 found, uint256 expected);

    constructor(
        IDevUSD token_,
        IVoucherCollector collector_,
        CourtDouble court_,
        uint64[2] memory modelIds_,
        uint64[2] memory modelFees_
    ) {
        token = token_;
        collector = collector_;
        court = court_;
        CollectorConfig memory c = collector_.config();
        (vault, registry, governor) = (c.vault, c.nodes, c.governor);
        (penalty, window) = (c.penalty, c.challengeWindow);
        (modelIds, modelFees) = (modelIds_, modelFees_);
        time = block.timestamp;
        othersStake = c.vault.balanceOf(address(c.nodes));
        for (uint256 i = 0; i < 2; ++i) {
            payers[i] = person("payer", i);
            sessions[i] = person("session", i);
            nodes[i] = person("node", i);
            operators[i] = person("operator", i);
            accounts.push(payers[i].account);
            accounts.push(nodes[i].account);
        }
        mallory = person("mallory", 0);
        accounts.push(mallory.account);
        accounts.push(address(court));
        accounts.push(BURNED);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(nodes[i].account);
            registry.setNode(operators[i].account, 0, "");
            credit(payers[i].account, 1000e6);
            credit(address(this), 200e6);
            vault.payAndCall(address(registry), 200e6, abi.encode(nodes[i].account));
            nodesStake += 200e6;
            for (uint256 m = 0; m < 2; ++m) {
                vm.prank(nodes[i].account);
                registry.provision(address(collector), modelIds[m], 90e6);
            }
        }
        credit(mallory.account, 10e6);
    }

    function person(string memory role, uint256 i) private pure returns (Person memory who) {
        who.key = uint256(keccak256(abi.encode(role, i)));
        who.account = vm.addr(who.key);
    }

    function credit(address account, uint256 amount) private {
        token.faucet(address(this), amount);
        token.approve(address(vault), amount);
        vault.deposit(account, amount);
    }

    // --- what holds around each verb

    /// @dev `actor` alone may have less afterwards; no total falls, and what has ended stays so.
    modifier by(address actor) {
        vm.warp(time);
        uint256[] memory before = new uint256[](accounts.length);
        for (uint256 i = 0; i < before.length; ++i) {
            before[i] = vault.balanceOf(accounts[i]);
        }
        vm.recordLogs();
        _;
        readLogs(vm.getRecordedLogs());
        for (uint256 i = 0; i < before.length; ++i) {
            if (accounts[i] != actor && vault.balanceOf(accounts[i]) < before[i]) {
                revert Broken("a balance fell without its owner's call");
            }
        }
        for (uint256 i = 0; i < entries.length; ++i) {
            look(entries[i]);
        }
    }

    function look(Entry storage entry) private {
        ChannelState memory was = entry.seen;
        ChannelState memory s = collector.channelOf(entry.id);
        entry.seen = s;
        if (s.status == ChannelStatus.None) revert Broken("a channel was forgotten");
        if (s.status == ChannelStatus.Closed) {
            // All that was put in has come out, once.
            if (entry.paidOut != entry.putIn) revert Unequal("paid out", entry.paidOut, entry.putIn);
            if (s.deposit != 0 || s.collected != 0) revert Broken("a closed channel holds something");
            return;
        }
        if (was.status == ChannelStatus.Closed) revert Broken("a channel came back");
        if (s.deposit < was.deposit || s.collected < was.collected || s.modelFee < was.modelFee) {
            revert Broken("a total fell");
        }
        if (s.released < was.released || s.releasedModelFee < was.releasedModelFee) revert Broken("a release fell");
        if (s.collected > s.deposit || s.released > s.collected) revert Broken("released <= collected <= deposit");
        if (s.releasedModelFee > s.modelFee || s.modelFee - s.releasedModelFee > s.collected - s.released) {
            revert Broken("the model's resting part lies within what rests");
        }
        if (was.exitAt != 0 && s.exitAt != was.exitAt) revert Broken("an exit's clock was moved");
        if (s.released > was.released && was.status == ChannelStatus.Disputed && s.status == ChannelStatus.Disputed) {
            revert Broken("a frozen channel paid");
        }
        if (entry.putIn != s.deposit) revert Unequal("deposit", s.deposit, entry.putIn);
        if (entry.paidOut != s.released) revert Unequal("released", s.released, entry.paidOut);
    }

    function readLogs(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (topic == IVoucherCollector.PaymentReleased.selector) {
                (uint256 amount,) = abi.decode(logs[i].data, (uint256, uint256));
                find(logs[i].topics[1]).paidOut += amount;
            } else if (topic == IVoucherCollector.ChannelClosed.selector) {
                find(logs[i].topics[1]).paidOut += abi.decode(logs[i].data, (uint256));
            } else if (topic == IVoucherCollector.DisputeClosed.selector) {
                // An upheld one ends the channel too, and says the refund there.
                bool ends = collector.channelOf(logs[i].topics[2]).status == ChannelStatus.Closed;
                if (!ends) find(logs[i].topics[2]).paidOut += abi.decode(logs[i].data, (uint256));
            } else if (topic == IVoucherCollector.NodePunished.selector) {
                (uint256 taken, uint256 paid, uint256 burned_) = abi.decode(logs[i].data, (uint256, uint256, uint256));
                // Reserved when the channel was opened, so that nothing can be missing.
                if (taken != penalty || taken != paid + burned_) {
                    revert Broken("slashed is the penalty, paid + burned");
                }
                slashed += taken;
                won += paid;
                burned += burned_;
            }
        }
    }

    function find(bytes32 id) private view returns (Entry storage) {
        for (uint256 i = 0; i < entries.length; ++i) {
            if (entries[i].id == id) return entries[i];
        }
        revert Broken("a channel nobody opened");
    }

    // --- payers

    function open(uint256 p, uint256 n, uint256 m, uint256 terms) external by(payers[p % 2].account) {
        if (entries.length == MAX_CHANNELS) return;
        (p, n, m) = (p % 2, n % 2, m % 2);
        Channel memory channel;
        channel.collector = address(collector);
        channel.payer = payers[p].account;
        channel.payee = nodes[n].account;
        channel.signer = sessions[p].account;
        channel.payTo = nodes[n].account;
        channel.modelId = modelIds[m];
        channel.modelFee = modelFees[m];
        channel.inputPrice = channel.modelFee + uint64(terms % 1e9);
        channel.outputPrice = channel.modelFee + uint64((terms >> 64) % 1e9);
        channel.nonce = uint64(entries.length);
        uint256 amount = _bound(terms >> 128, 0, vault.balanceOf(channel.payer) / 2);
        Provision memory s = registry.provisionOf(channel.payee, address(collector), channel.modelId);
        bool backed = s.amount - s.reserved - s.thawing >= penalty;
        bytes32 id = collector.channelId(channel);
        (bytes32 r, bytes32 vs) = vm.signCompact(
            operators[n].key, Messages.channelAcceptance(vault.domainSeparator(), id, uint128(amount), uint64(time))
        );
        bytes memory data =
            abi.encodeCall(IVoucherCollectorPayments.open, (channel, uint128(amount), uint64(time), r, vs));
        if (pay(channel.payer, amount, data) != backed) {
            revert Broken("a channel opens when its penalty can be reserved, and only then");
        }
        if (!backed) return;
        Entry storage entry = entries.push();
        (entry.channel, entry.id, entry.putIn) = (channel, id, amount);
        if (pay(channel.payer, amount, data)) revert Broken("an acceptance was used twice");
    }

    function pay(address from, uint256 amount, bytes memory data) private returns (bool ok) {
        vm.prank(from);
        (ok,) = address(vault).call(abi.encodeCall(IVault.payAndCall, (address(collector), amount, data)));
    }

    function topUp(uint256 c, uint256 amount) external by(payerOf(c)) {
        if (entries.length == 0) return;
        Entry storage entry = entries[c % entries.length];
        amount = _bound(amount, 0, vault.balanceOf(entry.channel.payer) / 4);
        bool alive = entry.seen.status != ChannelStatus.Closed;
        bool ok = pay(entry.channel.payer, amount, abi.encodeCall(IVoucherCollectorPayments.topUp, (entry.id)));
        if (ok != alive) revert Broken("a channel that is there can be topped up");
        if (ok) entry.putIn += amount;
    }

    function exit(uint256 c, uint256 who) external by(address(0)) {
        if (entries.length < MAX_CHANNELS && c % 4 != 0) return;
        if (entries.length == 0) return;
        Entry storage entry = entries[c % entries.length];
        address[4] memory parties = [entry.channel.payer, entry.channel.signer, entry.channel.payee, mallory.account];
        vm.prank(parties[who % 4]);
        (bool ok,) = address(collector).call(abi.encodeCall(IVoucherCollector.exit, (entry.channel)));
        bool may = who % 4 != 3 && entry.seen.exitAt == 0 && entry.seen.status != ChannelStatus.Closed;
        if (ok != may) revert Broken("a party can leave, once");
    }

    /// @dev A receipt of an answer of some tokens, whatever was collected so far.
    function challenge(uint256 c, uint256 answer, uint256 more) external by(payerOf(c)) {
        if (entries.length == 0) return;
        Entry storage entry = entries[c % entries.length];
        if (vault.balanceOf(entry.channel.payer) < court.BOND()) return;
        (Job memory job, Receipt memory receipt) = answerIn(entry, answer, more);
        bytes32 subject = collector.receiptHash(receipt);
        uint256 n = entry.channel.payee == nodes[0].account ? 0 : 1;
        (bytes32 r, bytes32 vs) =
            vm.signCompact(operators[n].key, Messages.receiptDigest(vault.domainSeparator(), subject));
        bytes memory data = abi.encodeCall(
            IVoucherCollectorPayments.challenge,
            (
                entry.channel,
                job,
                receipt,
                r,
                vs,
                SECRET,
                new bytes(4 * job.promptTokens),
                new bytes(4 * receipt.outputTokens)
            )
        );
        ChannelState memory s = entry.seen;
        bool due = s.status == ChannelStatus.Open && time <= receipt.servedAt + window;
        if (due && receipt.cumulativeAmount > s.collected) {
            due = bookable(entry, receipt.cumulativeAmount, receipt.cumulativeModelFee);
        }
        bool ok = pay(entry.channel.payer, court.BOND(), data);
        if (ok != due) revert Broken("a receipt can be challenged in its window, and only then");
        if (!ok) {
            // What a call logged before it was undone is recorded all the same.
            vm.getRecordedLogs();
            return;
        }
        entry.subject = subject;
        ++entry.receipts;
        if (pay(entry.channel.payer, court.BOND(), data)) revert Broken("a receipt was challenged twice");
    }

    function answerIn(Entry storage entry, uint256 answer, uint256 more)
        private
        view
        returns (Job memory job, Receipt memory receipt)
    {
        Channel memory channel = entry.channel;
        (job.collector, job.channel, job.client, job.node) =
        (address(collector), entry.id, channel.payer, channel.payee);
        (job.modelId, job.inputPrice, job.outputPrice, job.modelFee) =
        (channel.modelId, channel.inputPrice, channel.outputPrice, channel.modelFee);
        job.promptTokens = uint32(1 + answer % 300);
        job.maxTokens = 300;
        job.promptHash = keccak256(new bytes(4 * job.promptTokens));
        job.secretHash = keccak256(abi.encode(SECRET));
        job.topP = 1_000_000;
        job.seed = entry.receipts;
        receipt.jobHash = keccak256(bytes.concat(Messages.JOB_TYPEHASH, abi.encode(job)));
        receipt.node = channel.payee;
        receipt.outputTokens = uint32(1 + (answer >> 32) % 300);
        receipt.outputHash = keccak256(new bytes(4 * receipt.outputTokens));
        receipt.finish = 2;
        receipt.servedAt = uint64(time - (answer >> 64) % (window + window / 8));
        receipt.channel = entry.id;
        (uint256 price, uint256 fee) = Pricing.settle(
            job.promptTokens, receipt.outputTokens, job.inputPrice, job.outputPrice, job.modelFee, type(uint256).max
        );
        uint256 before = answer % 3 == 0 ? entry.seen.collected : 0;
        uint256 feeBefore = answer % 3 == 0 ? entry.seen.modelFee : 0;
        receipt.cumulativeAmount = uint128(before + price + more % 2);
        receipt.cumulativeModelFee = uint128(feeBefore + fee);
    }

    // --- nodes

    /// @dev A voucher of any totals; what the rules say decides whether it is collected.
    function collect(uint256 c, uint256 amount, uint256 fee, uint256 who) external by(address(0)) {
        if (entries.length == 0) return;
        Entry storage entry = entries[c % entries.length];
        ChannelState memory s = entry.seen;
        // Mostly a part of what is left, as in a channel that lasts.
        uint256 most = amount % 8 == 0 ? s.deposit + 1 : s.collected + (s.deposit - s.collected) / 8;
        amount = _bound(amount, s.collected, most);
        uint256 least = collector.leastModelFee(entry.channel, amount);
        if (fee % 4 != 0) {
            fee = _bound(fee, least > s.modelFee ? least : s.modelFee, s.modelFee + amount - s.collected + 1 + least);
        } else {
            fee = _bound(fee, 0, amount + 1);
        }
        Claim memory claim = signed(entry, uint128(amount), uint128(fee));
        bool due = bookable(entry, amount, fee) && (s.exitAt == 0 || time <= s.exitAt) && who % 8 != 0;
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (claim, claim);
        uint256 n = entry.channel.payee == nodes[0].account ? 0 : 1;
        address caller = who % 8 == 0
            ? (who % 16 == 0 ? mallory.account : entry.channel.payer)
            : who % 8 == 1 ? nodes[n].account : operators[n].account;
        vm.prank(caller);
        if (collector.collect(claims) != (due ? 1 : 0)) revert Broken("a voucher is collected once, when it is due");
        if (due) entry.last = claim;
    }

    function signed(Entry storage entry, uint128 amount, uint128 fee) private view returns (Claim memory) {
        uint256 p = entry.channel.payer == payers[0].account ? 0 : 1;
        bytes32 digest =
            Messages.voucher(vault.domainSeparator(), entry.id, entry.channel.payer, entry.channel.payee, amount, fee);
        (bytes32 r, bytes32 vs) = vm.signCompact(sessions[p].key, digest);
        return Claim(entry.channel, amount, fee, r, vs);
    }

    /// @dev The rules, written anew.
    function bookable(Entry storage entry, uint256 amount, uint256 fee) private view returns (bool) {
        ChannelState memory s = entry.seen;
        if (s.status == ChannelStatus.Closed || amount <= s.collected || amount > s.deposit) return false;
        if (fee < s.modelFee || fee > amount || amount - fee < s.collected - s.modelFee) return false;
        Channel memory c = entry.channel;
        uint256 dearer = c.inputPrice > c.outputPrice ? c.inputPrice : c.outputPrice;
        return c.modelFee == 0 || fee >= (amount - 1) * c.modelFee / dearer;
    }

    /// @dev Everything at once, by anybody, in any order, twice.
    function release(uint256 order) external by(address(0)) {
        uint256 count = entries.length;
        uint256 due;
        Channel[] memory channels = new Channel[](2 * count);
        for (uint256 i = 0; i < count; ++i) {
            Entry storage entry = entries[(i + order % 16) % count];
            (channels[i], channels[count + i]) = (entry.channel, entry.channel);
            if (releasable(entry.seen)) ++due;
        }
        vm.prank(mallory.account);
        if (collector.release(channels) != due) revert Broken("what has rested is paid, by anyone, once");
    }

    function releasable(ChannelState memory s) private view returns (bool) {
        return s.status == ChannelStatus.Open && s.collected > s.released && time > s.restUntil;
    }

    function close(uint256 c) external by(address(0)) {
        if (entries.length == 0) return;
        tryClose(entries[c % entries.length]);
    }

    function tryClose(Entry storage entry) private {
        ChannelState memory s = entry.seen;
        bool due = s.status == ChannelStatus.Open && s.exitAt != 0 && time > s.exitAt + window;
        vm.prank(mallory.account);
        (bool ok,) = address(collector).call(abi.encodeCall(IVoucherCollector.close, (entry.channel)));
        if (ok != due) revert Broken("a channel ends when its time has come, by anyone, and only then");
    }

    function closeDispute(uint256 c) external by(address(0)) {
        if (entries.length == 0) return;
        tryCloseDispute(entries[c % entries.length]);
    }

    function tryCloseDispute(Entry storage entry) private {
        ChannelDispute memory d = collector.disputeOf(entry.subject);
        bool due = d.status == DisputeStatus.Open
            ? time > d.until
            : d.status != DisputeStatus.None && d.status != DisputeStatus.Closed;
        vm.prank(mallory.account);
        (bool ok,) =
            address(collector).call(abi.encodeCall(IVoucherCollector.closeDispute, (entry.channel, entry.subject)));
        if (ok != due) revert Broken("a dispute ends by a ruling or by time, by anyone, and only then");
        bool disputed = collector.channelOf(entry.id).status == ChannelStatus.Disputed;
        DisputeStatus status = collector.disputeOf(entry.subject).status;
        bool unclosed = status != DisputeStatus.None && status != DisputeStatus.Closed;
        if (disputed != unclosed) revert Broken("a channel is frozen while its dispute is not closed, and only then");
    }

    function rule(uint256 c, uint256 ruling, uint256 courtFee) external by(address(0)) {
        uint256 count = entries.length;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 subject = entries[(c % count + i) % count].subject;
            if (collector.disputeOf(subject).status != DisputeStatus.Open && c % 4 != 0) continue;
            courtFee = _bound(courtFee, 0, courtFee % 2 == 0 ? penalty : type(uint256).max);
            return court.rule(collector, subject, Ruling(ruling % 4), courtFee);
        }
    }

    function pushFees(uint256 m) external by(address(0)) {
        pushed += collector.pushModelFees(modelIds[m % 2]);
    }

    /// @dev A key that signed receipts goes out of office; the next signs from now on.
    function changeOperator(uint256 n, uint256 salt) external by(address(0)) {
        operators[n % 2] = person("operator", salt);
        vm.prank(nodes[n % 2].account);
        registry.setNode(operators[n % 2].account, 0, "");
    }

    function thaw(uint256 n, uint256 m, uint256 amount) external by(address(0)) {
        address node = nodes[n % 2].account;
        Provision memory p = registry.provisionOf(node, address(collector), modelIds[m % 2]);
        vm.prank(node);
        registry.thaw(address(collector), modelIds[m % 2], _bound(amount, 0, p.amount - p.reserved - p.thawing));
    }

    function wait_(uint256 seconds_) external {
        time += _bound(seconds_, 1, seconds_ % 16 == 0 ? 8 days : 70 minutes);
        vm.warp(time);
    }

    // --- crime

    /// @dev Each must fail, or leave everybody else as they were.
    function attack(uint256 kind, uint256 c, uint256 amount) external by(mallory.account) {
        if (entries.length == 0) return;
        Entry storage entry = entries[c % entries.length];
        Entry storage other = entries[(c % entries.length + 1) % entries.length];
        Claim[] memory claims = new Claim[](1);
        kind %= 6;
        if (kind == 0) {
            // The last voucher again, by its rightful collector, and on another channel.
            claims[0] = entry.last;
            uint256 n = entry.channel.payee == nodes[0].account ? 0 : 1;
            vm.prank(operators[n].account);
            if (collector.collect(claims) != 0) revert Broken("a voucher was paid twice");
            if (entry.id == other.id) return;
            claims[0].channel = other.channel;
            n = other.channel.payee == nodes[0].account ? 0 : 1;
            vm.prank(operators[n].account);
            if (collector.collect(claims) != 0) revert Broken("a voucher was paid on another channel");
        } else if (kind == 1) {
            fails(address(collector), abi.encodeCall(collector.onRuling, (entry.subject, Ruling.Upheld, amount)));
        } else if (kind == 2) {
            bytes memory data = abi.encodeCall(IVoucherCollectorPayments.topUp, (entry.id));
            fails(address(collector), abi.encodeCall(collector.onVaultPayment, (entry.channel.payer, amount, data)));
        } else if (kind == 3) {
            Channel memory forged = entry.channel;
            forged.payTo = mallory.account;
            fails(address(collector), abi.encodeCall(IVoucherCollector.close, (forged)));
            fails(address(collector), abi.encodeCall(IVoucherCollector.closeDispute, (forged, entry.subject)));
            Channel[] memory channels = new Channel[](1);
            channels[0] = forged;
            if (collector.release(channels) != 0) revert Broken("a forged channel was paid");
        } else if (kind == 4) {
            amount = _bound(amount, 0, vault.balanceOf(mallory.account) / 4);
            vm.prank(mallory.account);
            vault.pay(address(collector), amount);
            stray += amount;
        } else if (other.subject != entry.subject && other.subject != 0) {
            fails(address(collector), abi.encodeCall(IVoucherCollector.closeDispute, (entry.channel, other.subject)));
        }
    }

    function fails(address target, bytes memory data) private {
        vm.prank(mallory.account);
        (bool ok,) = target.call(data);
        if (ok) revert Broken("an attack worked");
    }

    function payerOf(uint256 c) private view returns (address) {
        return entries.length == 0 ? address(0) : entries[c % entries.length].channel.payer;
    }

    // --- what the books say

    function books() external view {
        uint256 owed = collector.feesOf(modelIds[0]) + collector.feesOf(modelIds[1]);
        uint256[2][2] memory live;
        for (uint256 i = 0; i < entries.length; ++i) {
            ChannelState memory s = entries[i].seen;
            if (s.status == ChannelStatus.Closed) continue;
            owed += s.deposit - s.released;
            ++live[
                entries[i].channel.payee == nodes[0].account ? 0 : 1
            ][entries[i].channel.modelId == modelIds[0] ? 0 : 1];
        }
        // The collector's account covers what it owes, to the unit.
        equal(vault.balanceOf(address(collector)), owed + stray, "collector");
        equal(governor.treasuryOf(modelIds[0]) + governor.treasuryOf(modelIds[1]), pushed, "treasuries");
        equal(slashed, won + burned, "slashed = paid + burned");
        equal(vault.balanceOf(BURNED), burned, "burned");
        equal(vault.balanceOf(address(registry)), othersStake + nodesStake - slashed, "registry");
        for (uint256 n = 0; n < 2; ++n) {
            for (uint256 m = 0; m < 2; ++m) {
                Provision memory p = registry.provisionOf(nodes[n].account, address(collector), modelIds[m]);
                equal(p.reserved, penalty * live[n][m], "one penalty reserved for each channel that is not closed");
            }
        }
    }

    function equal(uint256 a, uint256 b, string memory what) private pure {
        if (a != b) revert Unequal(what, a, b);
    }

    /// @dev The end: everybody goes, and gets what is theirs, by time alone.
    function everybodyLeaves() external {
        vm.recordLogs();
        for (uint256 i = 0; i < entries.length; ++i) {
            if (entries[i].seen.status == ChannelStatus.Closed || entries[i].seen.exitAt != 0) continue;
            vm.prank(entries[i].channel.payee);
            collector.exit(entries[i].channel);
        }
        time += 365 days;
        vm.warp(time);
        for (uint256 i = 0; i < entries.length; ++i) {
            if (entries[i].seen.status == ChannelStatus.Disputed) tryCloseDispute(entries[i]);
        }
        readLogs(vm.getRecordedLogs());
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i].seen = collector.channelOf(entries[i].id);
            if (entries[i].seen.status == ChannelStatus.Closed) continue;
            tryClose(entries[i]);
        }
        readLogs(vm.getRecordedLogs());
        for (uint256 i = 0; i < entries.length; ++i) {
            look(entries[i]);
            if (entries[i].seen.status != ChannelStatus.Closed) revert Broken("a channel has no way out");
        }
        for (uint256 m = 0; m < 2; ++m) {
            pushed += collector.pushModelFees(modelIds[m]);
            for (uint256 n = 0; n < 2; ++n) {
                Provision memory p = registry.provisionOf(nodes[n].account, address(collector), modelIds[m]);
                if (p.reserved != 0) revert Broken("stake stayed reserved for no channel");
            }
        }
        equal(vault.balanceOf(address(collector)), stray, "collector, emptied");
    }
}
