// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {INodeRegistry, Provision} from "contracts/interfaces/INodeRegistry.sol";
import {HookToken} from "../doubles/Tokens.sol";
import {Opener} from "../doubles/Openers.sol";
import {
    CourtBase,
    Case,
    Ruling,
    Vote,
    Phase,
    Job,
    Completion,
    CourtConfig,
    IDisputeCourt,
    IDisputeCourtPayments
} from "./CourtBase.t.sol";

/// @notice One attacker with a third of all seats, a node and a client, who does whatever the fuzzer thinks of, against people who do as they
/// should. Where the panel that decided was mostly honest, it is never richer for it.
contract AttackersTest is CourtBase {
    enum Role {
        Both,
        Client,
        Node,
        Judge
    }

    uint256 private constant HONEST = 20;
    uint256 private constant HOSTILE = 10;

    address private _node = makeAddr("hostile node");
    address private _attacker = makeAddr("hostile client");
    uint256 private _seed;
    uint256 private _asked;

    function setUp() public override {
        super.setUp();
        seatJudges(0, HONEST + HOSTILE, modelId, 0);
        vm.prank(_node);
        registry.setNode(operator, 0, "");
        stake(_node, 200e6);
        vm.prank(_node);
        registry.provision(address(escrow), modelId, 200e6);
        fund(_attacker, 100e6);
        passPeriods(2);
    }

    function isHostile(address account) private view returns (bool) {
        for (uint256 i = HONEST; i < HONEST + HOSTILE; ++i) {
            if (judges[i] == account) return true;
        }
        return account == _node || account == _attacker;
    }

    function wealth() private view returns (uint256 sum) {
        sum = vault.balanceOf(_attacker) + ofNode(_node, address(escrow));
        for (uint256 i = HONEST; i < HONEST + HOSTILE; ++i) {
            sum += ofNode(judges[i], address(dc));
        }
    }

    /// @dev What honest judges have at stake.
    function staked() private view returns (uint256 sum) {
        for (uint256 i = 0; i < HONEST; ++i) {
            sum += registry.provisionOf(judges[i], address(dc), modelId).amount;
        }
    }

    function ofNode(address account, address module) private view returns (uint256) {
        Provision memory p = registry.provisionOf(account, module, modelId);
        return vault.balanceOf(account) + registry.idleOf(account) + p.amount;
    }

    function whim(uint256 choices) private returns (uint256) {
        return uint256(keccak256(abi.encode(_seed, ++_asked))) % choices;
    }

    /// @dev The last request's block gets a hash of this run's own.
    function drawAs(bytes32 id, uint256 round) private {
        uint64 ticket = uint64(dc.roundOf(id, round).lot);
        vm.roll(ticket + 1);
        vm.setBlockhash(ticket, keccak256(abi.encode(_seed, round)));
        dc.draw(id);
    }

    /// @return honest How many of the panel are.
    function play(bytes32 id, uint256 round, Vote truth) private returns (uint256 honest) {
        (,, address[] memory members) = dc.panelOf(id, round);
        Vote[] memory votes = new Vote[](members.length);
        bytes32[] memory witnesses = new bytes32[](members.length);
        bool[] memory reveals = new bool[](members.length);
        for (uint256 i = 0; i < members.length; ++i) {
            (votes[i], witnesses[i], reveals[i]) = (truth, WITNESS, true);
            if (!isHostile(members[i])) {
                ++honest;
            } else {
                votes[i] = Vote(whim(4));
                reveals[i] = whim(5) != 0;
                if (whim(3) == 0) witnesses[i] = keccak256("fancy");
                else if (whim(3) == 0) witnesses[i] = keccak256("agreed on");
            }
            if (votes[i] != Vote.None) commitVote(id, i, votes[i], witnesses[i]);
        }
        (Phase phase,, uint256 until) = dc.phaseOf(id);
        if (phase == Phase.Committing) vm.warp(until + 1);
        (phase,,) = dc.phaseOf(id);
        for (uint256 i = 0; i < members.length; ++i) {
            if (votes[i] != Vote.None && reveals[i]) revealVote(id, i, votes[i], witnesses[i]);
        }
        (phase,, until) = dc.phaseOf(id);
        if (phase == Phase.Revealing) vm.warp(until + 1);
    }

    function aJobBetween(Role role) private view returns (Job memory job) {
        job = aJob();
        if (role == Role.Both || role == Role.Node) job.node = _node;
        if (role == Role.Both || role == Role.Client) job.client = _attacker;
    }

    function appealBy(address who, Case memory c) private {
        vm.prank(who);
        vault.payAndCall(address(dc), APPEAL_COST, abi.encodeCall(IDisputeCourtPayments.appeal, (address(escrow), c)));
    }

    /// @return sound Whether whoever is honest could rely on the panel that decided.
    function dispute(Role role, Vote truth) private returns (bool sound) {
        (, Case memory c, bytes32 id) = challenged(aJobBetween(role));
        sound = true;
        // Only among themselves would nobody draw.
        if (role == Role.Both && whim(8) == 0) {
            vm.warp(block.timestamp + DRAW_WINDOW + 1);
        } else {
            drawAs(id, 0);
            sound = play(id, 0, truth) >= 2;
            bool wrong = uint256(dc.rulingOf(id)) != uint256(truth);
            bool appeal = true;
            if (role != Role.Both && wrong) appealBy(funder, c);
            else if (whim(2) == 0) appealBy(_attacker, c);
            else appeal = false;
            if (appeal && (role != Role.Both || whim(8) != 0)) {
                drawAs(id, 1);
                sound = play(id, 1, truth) >= 8;
            }
        }
        finish(c);
        escrow.closeDispute(job_, completion_);
    }

    /// @dev Fewer runs than by default: one is a whole dispute, and takes 10 ms.
    /// forge-config: default.fuzz.runs = 1500
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_isNeverRicher(uint256 seed) public {
        _seed = seed;
        Role role = Role(whim(4));
        Vote truth = role == Role.Client ? Vote.Dismissed : role == Role.Node ? Vote.Upheld : Vote(1 + whim(2));
        uint256 before = wealth();
        uint256 ofClient = vault.balanceOf(client);
        uint256 ofFunder = vault.balanceOf(funder);
        uint256 inJobs = provisionedBy(node);
        uint256 ofHonest = staked();
        bool sound = dispute(role, truth);
        assertEq(vault.balanceOf(address(dc)), 0);
        if (!sound) return;
        assertEq(staked(), ofHonest, "an honest judge was slashed");
        // Its seats may earn their fees, as anybody's.
        uint256 fees = role == Role.Both ? 0 : 18 * FEE_PER_SEAT;
        if (role == Role.Client) {
            // An honest purchase costs the payment, and so does this one at least.
            assertLe(wealth() + PAYMENT, before, "a false challenge pays");
            assertEq(provisionedBy(node), inJobs, "an honest node was slashed");
        } else if (role == Role.Node) {
            assertLe(wealth(), before - PENALTY + fees, "a wrong answer pays");
            assertGe(vault.balanceOf(client), ofClient, "an honest client paid for a wrong answer");
        } else if (role == Role.Judge) {
            // Between others, and honest or not about it: what seats earn, and never by overturning what is right.
            assertLe(wealth(), before + fees, "judging others falsely pays");
            if (truth == Vote.Upheld) {
                assertEq(inJobs - provisionedBy(node), PENALTY);
                assertGe(vault.balanceOf(client), ofClient, "an honest client paid for a wrong answer");
            } else {
                assertEq(provisionedBy(node), inJobs, "an honest node was slashed");
                assertGe(vault.balanceOf(treasurer), PAYMENT - FEE, "an honest node was not paid");
            }
        } else {
            assertLe(wealth(), before, "challenging oneself pays");
        }
        if (role != Role.Both) {
            // Whoever appealed because a first panel lied, or kept silent, is at most its deposit short, and with liars gains.
            assertGe(vault.balanceOf(funder) + 15 * FEE_PER_SEAT, ofFunder);
        }
    }

    /// @dev The purest form: own job, own challenge, own seats only, own appeal.
    /// Fewer runs than by default: one is a whole dispute, and takes 10 ms.
    /// forge-config: default.fuzz.runs = 500
    /// forge-config: fuzz.fuzz.runs = 10000
    function testFuzz_slashingOneselfIsNoWayOut(uint256 seed) public {
        _seed = seed;
        uint256 before = wealth();
        dispute(Role.Both, Vote.Upheld);
        uint256 honestFees;
        for (uint256 i = 0; i < HONEST; ++i) {
            honestFees += vault.balanceOf(judges[i]);
        }
        assertLe(wealth() + honestFees, before);
    }

    /// @dev Money can't be moved while the token moves; afterwards everything is as if nothing had been tried.
    function test_aReentrantToken() public {
        HookToken hook = new HookToken();
        vault = IVault(deployCode("Vault.sol:Vault", abi.encode(hook)));
        registry = INodeRegistry(deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(vault, THAW)));
        dc = deployCourt(courtConfig());
        hook.mint(address(this), 1000e6);
        hook.approve(address(vault), 1000e6);
        for (uint256 i = 0; i < 3; ++i) {
            vault.deposit(judges[i], SEAT_STAKE);
            vm.startPrank(judges[i]);
            registry.setNode(judges[i], 0, "");
            vault.payAndCall(address(registry), SEAT_STAKE, abi.encode(judges[i]));
            registry.provision(address(dc), modelId, SEAT_STAKE);
            dc.takeSeat(judges[i], modelId, 0);
            vm.stopPrank();
        }
        passPeriods(2);
        Opener opener = new Opener(vault, address(dc));
        vault.deposit(address(opener), BOND);
        vault.deposit(stranger, 1);
        Case memory c = caseOf(aJob(), completionOf(aJob()));
        opener.open(BOND, abi.encode(c, maskedPrompt(), maskedOutput()));
        bytes32 id = dc.disputeId(address(opener), c);
        drawPanel(id);
        vote(id, three(Vote.Upheld, Vote.Upheld, Vote.Dismissed));
        assertPhase(id, Phase.Final);
        hook.hook(address(dc), abi.encodeCall(IDisputeCourt.close, (address(opener), c)));
        vm.prank(stranger);
        vault.withdraw(stranger, 1);
        assertFalse(hook.succeeded());
        assertEq(vault.balanceOf(address(dc)), BOND);
        dc.close(address(opener), c);
        assertEq(vault.balanceOf(address(dc)), 0);
        assertEq(opener.told(), 1);
    }
}
