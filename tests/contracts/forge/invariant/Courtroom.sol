// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {IVault} from "contracts/interfaces/IVault.sol";
import {INodeRegistry, Provision} from "contracts/interfaces/INodeRegistry.sol";
import {Case} from "contracts/interfaces/ICourt.sol";
import {Ruling} from "contracts/interfaces/IDisputable.sol";
import {Seat} from "contracts/interfaces/ICourtSeats.sol";
import {IDisputeCourt, IDisputeCourtPayments, Phase, Vote} from "contracts/interfaces/IDisputeCourt.sol";
import {Progress, Round} from "contracts/libraries/Rounds.sol";
import {Opener} from "../doubles/Openers.sol";

/// @notice Nodes with seats, openers and appellants as one fuzzed actor; the last node of all is hostile, and so is one opener. A verb that
/// can't be done now does nothing; one that should work and reverts fails the run; one that should not work and does, too.
contract Courtroom is CommonBase, StdUtils {
    struct Entry {
        Opener opener;
        Case case_;
        bytes32 id;
        uint256 held;
        bool closed;
    }

    uint256 internal constant NODES = 6;
    uint256 internal constant MAX_DISPUTES = 12;
    bytes32 internal constant WITNESS = keccak256("witness");

    IDisputeCourt internal immutable court;
    IVault internal immutable vault;
    INodeRegistry internal immutable registry;
    uint64 internal immutable modelId;
    address internal immutable client;
    address internal immutable funder;
    uint256 internal immutable seatStake;
    uint256 internal time;
    uint256 internal height;
    uint256 internal nonce;

    address[] internal nodes;
    Opener[2] internal openers;
    Entry[] internal entries;
    uint32[] public seats;
    mapping(uint32 seat => bool) public released;
    mapping(bytes32 commitment => Vote) internal sealed_;
    mapping(bytes32 commitment => bytes32) internal witnessOf;
    mapping(bytes32 id => mapping(uint256 ballot => bytes32)) internal commitments;
    mapping(bytes32 id => mapping(uint256 ballot => bool)) internal copied;
    uint256 public closed;

    error Broken(string what);

    constructor(IDisputeCourt court_, uint64 modelId_, address client_, address funder_, address[] memory nodes_) {
        court = court_;
        vault = court_.vault();
        registry = court_.nodes();
        modelId = modelId_;
        client = client_;
        funder = funder_;
        nodes = nodes_;
        seatStake = court_.seatStake();
        time = block.timestamp;
        height = block.number;
        for (uint256 i = 0; i < 2; ++i) {
            openers[i] = new Opener(vault, address(court_));
        }
        openers[1].behave(Opener.Manner.Reverts, "");
        for (uint256 i = 0; i < nodes_.length; ++i) {
            for (uint256 k = 0; k < 4; ++k) {
                sit(i);
            }
        }
        pass(2 * court.periodLength());
    }

    modifier now_() {
        vm.warp(time);
        vm.roll(height);
        _;
    }

    function pass(uint256 duration) private {
        time += duration;
        height += duration / 12 + 1;
        vm.warp(time);
        vm.roll(height);
    }

    function sit(uint256 node) private {
        Provision memory p = registry.provisionOf(nodes[node], address(court), modelId);
        if (uint256(p.amount) - p.reserved - p.thawing < seatStake) return;
        vm.prank(nodes[node]);
        seats.push(court.takeSeat(nodes[node], modelId, 0));
    }

    // --- seats

    function takeSeat(uint256 node) external now_ {
        if (seats.length < 60) sit(node % NODES);
    }

    function leaveSeat(uint256 which) external now_ {
        uint32 seat = seats[which % seats.length];
        Seat memory s = court.seatOf(seat);
        vm.prank(s.node);
        try court.leaveSeat(seat) {
            if (s.leavesAt != 0) revert Broken("left twice");
        } catch {
            if (s.leavesAt == 0) revert Broken("can't leave");
        }
    }

    function releaseSeat(uint256 which) external now_ {
        uint32 seat = seats[which % seats.length];
        Seat memory s = court.seatOf(seat);
        try court.releaseSeat(seat) {
            if (s.leavesAt == 0 || time <= s.leavesAt) revert Broken("released while bound");
            released[seat] = true;
        } catch {
            if (s.leavesAt != 0 && time > s.leavesAt) revert Broken("can't be released");
        }
    }

    /// @dev Stake that is reserved can't be thawed away.
    function thaw(uint256 node, uint256 amount) external now_ {
        address account = nodes[node % NODES];
        Provision memory p = registry.provisionOf(account, address(court), modelId);
        uint256 available = uint256(p.amount) - p.reserved - p.thawing;
        amount = bound(amount, 1, p.amount + 1);
        vm.prank(account);
        try registry.thaw(address(court), modelId, amount) {
            if (amount > available) revert Broken("bound stake thawed");
        } catch {
            if (amount <= available) revert Broken("free stake did not thaw");
        }
    }

    // --- disputes

    function open(bool hostile, uint256 tokens) external now_ {
        if (entries.length == MAX_DISPUTES) return;
        tokens = bound(tokens, 2, 40);
        Case memory c;
        c.subject = keccak256(abi.encode(entries.length));
        c.challenger = client;
        c.node = nodes[0];
        c.modelId = modelId;
        c.promptTokens = 1;
        c.outputTokens = uint32(tokens - 1);
        uint256 bond = court.bondFor(tokens);
        Opener opener = openers[hostile ? 1 : 0];
        if (vault.balanceOf(client) < bond) return;
        vm.prank(client);
        vault.pay(address(opener), bond);
        bytes memory evidence = abi.encode(c, new bytes(4), new bytes(4 * (tokens - 1)));
        uint256 period = time / court.periodLength() - 1;
        try opener.open(bond, evidence) {
            bytes32 id = court.disputeId(address(opener), c);
            entries.push(Entry(opener, c, id, bond, false));
        } catch {
            if (court.poolSize(0, 0, period) >= 3) revert Broken("can't open");
        }
    }

    function draw(uint256 which) external now_ {
        if (entries.length == 0) return;
        Entry storage e = entries[which % entries.length];
        (Phase phase, uint256 round,) = court.phaseOf(e.id);
        Round memory r = round < 2 ? court.roundOf(e.id, round) : court.roundOf(e.id, 0);
        bool ready = phase == Phase.Drawing && height > r.lot && height <= r.lot + 256;
        try court.draw(e.id) {
            if (phase != Phase.Drawing) revert Broken("drawn out of its phase");
        } catch {
            if (ready) revert Broken("can't draw");
        }
    }

    function commit(uint256 which, uint256 index, uint8 vote, bool lazy, bool copy) external now_ {
        if (entries.length == 0) return;
        bytes32 id = entries[which % entries.length].id;
        (Phase phase, uint256 round,) = court.phaseOf(id);
        if (phase != Phase.Committing) return;
        (,, address[] memory members) = court.panelOf(id, round);
        index %= members.length;
        bytes32 copied_ = copy ? commitments[id][round * 16 + (index + 1) % members.length] : bytes32(0);
        bytes32 commitment = copied_;
        if (copied_ == 0) {
            commitment = newCommitment(
                id, round, index, members[index], Vote(1 + vote % 3), lazy ? keccak256(abi.encode(++nonce)) : WITNESS
            );
        }
        commitAs(members[index], id, round, index, commitment, copied_ != 0);
    }

    function newCommitment(bytes32 id, uint256 round, uint256 index, address voter, Vote choice, bytes32 witness)
        private
        returns (bytes32 commitment)
    {
        bytes memory place = abi.encode(block.chainid, court, id, round, index, voter);
        commitment = keccak256(bytes.concat(place, abi.encode(choice, witness, index)));
        (sealed_[commitment], witnessOf[commitment]) = (choice, witness);
    }

    function commitAs(address voter, bytes32 id, uint256 round, uint256 index, bytes32 commitment, bool copy) private {
        bool had = court.roundOf(id, round).committed >> index & 1 == 1;
        vm.prank(voter);
        try court.commit(id, index, commitment) {
            if (had) revert Broken("committed twice");
            commitments[id][round * 16 + index] = commitment;
            copied[id][round * 16 + index] = copy;
        } catch {
            if (!had) revert Broken("can't commit");
        }
    }

    /// @dev In any phase: early, late, twice, by the wrong key.
    function reveal(uint256 which, uint256 index, bool thief) external now_ {
        if (entries.length == 0 || entries[which % entries.length].closed) return;
        bytes32 id = entries[which % entries.length].id;
        (Phase phase, uint256 round,) = court.phaseOf(id);
        if (court.roundOf(id, round).progress == Progress.Requested) return;
        (,, address[] memory members) = court.panelOf(id, round);
        index %= members.length;
        Round memory r = court.roundOf(id, round);
        bool right = phase == Phase.Revealing && r.committed >> index & 1 == 1 && r.revealed >> index & 1 == 0
            && !copied[id][round * 16 + index] && !thief;
        revealAs(thief ? address(this) : members[index], id, round, index, right);
    }

    function revealAs(address voter, bytes32 id, uint256 round, uint256 index, bool right) private {
        bytes32 commitment = commitments[id][round * 16 + index];
        Vote choice = sealed_[commitment];
        bytes32 witness = witnessOf[commitment];
        vm.prank(voter);
        try court.reveal(id, index, choice, witness, bytes32(index)) {
            if (!right) revert Broken("revealed what it must not");
        } catch {
            if (right) revert Broken("can't reveal");
        }
    }

    function appeal(uint256 which) external now_ {
        if (entries.length == 0) return;
        Entry storage e = entries[which % entries.length];
        (Phase phase,,) = court.phaseOf(e.id);
        uint256 cost = court.appealCost(uint256(e.case_.promptTokens) + e.case_.outputTokens);
        if (vault.balanceOf(funder) < cost) return;
        vm.prank(funder);
        try vault.payAndCall(
            address(court), cost, abi.encodeCall(IDisputeCourtPayments.appeal, (address(e.opener), e.case_))
        ) {
            if (phase != Phase.Appealable) revert Broken("appealed out of its phase");
            e.held += cost;
        } catch {
            if (phase == Phase.Appealable) revert Broken("can't appeal");
        }
    }

    function close(uint256 which) external now_ {
        if (entries.length == 0) return;
        close(entries[which % entries.length]);
    }

    function close(Entry storage e) private {
        (Phase phase,,) = court.phaseOf(e.id);
        uint256 told = e.opener.told();
        uint256 had = vault.balanceOf(address(court));
        try court.close(address(e.opener), e.case_) {
            if (phase != Phase.Final || e.closed) revert Broken("closed out of its phase");
            if (vault.balanceOf(address(court)) != had - e.held) revert Broken("others' money moved");
            if (e.opener == openers[0] && e.opener.told() != told + 1) revert Broken("not told");
            e.closed = true;
            e.held = 0;
            ++closed;
        } catch {
            if (phase == Phase.Final && !e.closed) revert Broken("can't close");
        }
    }

    function wait_(uint256 duration) external now_ {
        pass(bound(duration, 1, 1 hours));
    }

    // --- what is owed

    function held() external view returns (uint256 sum) {
        for (uint256 i = 0; i < entries.length; ++i) {
            sum += entries[i].held;
        }
    }

    /// @dev What the court should have reserved of each node's stake, and how many seats were not left. One pass: it runs after each verb.
    function bound_() external view returns (uint256[] memory stakes, uint256 sitting) {
        stakes = new uint256[](nodes.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            Seat memory s = court.seatOf(seats[i]);
            if (s.leavesAt == 0) ++sitting;
            for (uint256 k = 0; k < nodes.length; ++k) {
                if (s.node == nodes[k]) stakes[k] += s.stake;
            }
        }
    }

    /// @dev Time alone, and anyone, ends every dispute and frees every seat.
    function everybodyLeaves() external now_ {
        pass(court.longest());
        for (uint256 i = 0; i < entries.length; ++i) {
            if (!entries[i].closed) close(entries[i]);
            if (!entries[i].closed) revert Broken("does not end");
        }
        for (uint256 i = 0; i < seats.length; ++i) {
            Seat memory s = court.seatOf(seats[i]);
            if (s.leavesAt != 0) continue;
            vm.prank(s.node);
            court.leaveSeat(seats[i]);
        }
        pass(court.longest() + 4 * court.periodLength());
        for (uint256 i = 0; i < seats.length; ++i) {
            court.releaseSeat(seats[i]);
        }
    }
}
