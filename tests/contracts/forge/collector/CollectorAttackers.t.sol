// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Channel,
    ChannelStatus,
    Claim,
    CollectorBase,
    DisputeStatus,
    IVault,
    IVoucherCollector,
    IVoucherCollectorPayments,
    Job,
    NodeReceipt,
    Ruling
} from "./CollectorBase.t.sol";
import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";

/// @notice One attack a test; docs/vouchers.md lists them.
contract CollectorAttackersTest is CollectorBase {
    Channel private channel;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        (channel, id) = opened();
    }

    /// @dev The payer leaves with a voucher outstanding: the node has the whole exit period, and then the money is its own.
    function test_payerRunsFromAVoucher() public {
        Claim memory claim = claimOf(channel, DEPOSIT, DEPOSIT / 10);
        vm.prank(client);
        collector.exit(channel);
        vm.expectRevert();
        collector.close(channel);
        vm.warp(block.timestamp + EXIT_PERIOD);
        assertTrue(collect(claim));
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
        uint256 before = vault.balanceOf(client);
        collector.close(channel);
        assertEq(vault.balanceOf(client), before);
        assertEq(vault.balanceOf(treasurer), DEPOSIT - DEPOSIT / 10);
    }

    /// @dev The node leaves, to have its stake back before a wrong answer is found: the last answer's window comes first.
    function test_nodeRunsFromAWrongAnswer() public {
        vm.prank(node);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD);
        collected(channel, 1e6, 60_000);
        Job memory job = aJobIn(channel);
        bytes memory data = receiptChallenge(channel, job, receiptOf(job), operatorKey);
        vm.warp(block.timestamp + CHALLENGE_WINDOW);
        vm.expectRevert();
        vm.prank(node);
        collector.close(channel);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector,
                node,
                address(collector),
                modelId,
                200e6 - PENALTY,
                200e6 - PENALTY + 1
            )
        );
        vm.prank(node);
        registry.thaw(address(collector), modelId, 200e6 - PENALTY + 1);
        uint256 bond = court.BOND();
        vm.prank(client);
        vault.payAndCall(address(collector), bond, data);
        assertChannel(id, ChannelStatus.Disputed);
    }

    /// @dev The node has the money released as soon as it can; a challenge in the last second still finds all of it.
    function test_nodeReleasesAheadOfAChallenge() public {
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        bytes memory data = receiptChallenge(channel, job, receipt, operatorKey);
        collected(channel, PAYMENT, FEE);
        vm.warp(uint256(receipt.servedAt) + CHALLENGE_WINDOW);
        assertEq(collector.release(one(channel)), 0);
        uint256 bond = court.BOND();
        uint256 before = vault.balanceOf(client);
        vm.prank(client);
        vault.payAndCall(address(collector), bond, data);
        bytes32 subject = collector.receiptHash(receipt);
        court.rule(collector, subject, Ruling.Upheld, 0);
        vm.warp(block.timestamp + 1);
        assertEq(collector.release(one(channel)), 0);
        collector.closeDispute(channel, subject);
        assertEq(vault.balanceOf(client), before - bond + DEPOSIT + 8e6);
        assertEq(vault.balanceOf(treasurer), 0);
    }

    /// @dev A payer who is its own node, to be slashed and keep the penalty: more than half of it is burned.
    function test_slashingOneself() public {
        address self = makeAddr("self");
        fund(self, DEPOSIT + 3e6);
        vm.prank(self);
        registry.setNode(operator, 0, "");
        stake(self, PENALTY);
        vm.prank(self);
        registry.provision(address(collector), modelId, PENALTY);
        channel.payer = self;
        channel.payee = self;
        id = openChannel(channel);
        Job memory job = aJobIn(channel);
        bytes32 subject = challengeReceipt(channel, job, receiptOf(job));
        court.rule(collector, subject, Ruling.Upheld, 0);
        collector.closeDispute(channel, subject);
        assertEq(vault.balanceOf(self), DEPOSIT + 8e6);
        assertEq(vault.balanceOf(BURNED), 12e6);
        assertEq(registry.provisionOf(self, address(collector), modelId).amount, 0);
    }

    /// @dev A payer who challenges without reason pays a bond, and delays its node by one dispute: meanwhile every other receipt's window closes.
    function test_challengesInARow() public {
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        collected(channel, 1e6, 60_000);
        bytes32 subject = challengeReceipt(channel, job, receipt);
        receipt.outputTokens += 1;
        bytes memory second = receiptChallenge(channel, job, receipt, operatorKey);
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);
        court.rule(collector, subject, Ruling.Dismissed, 0);
        collector.closeDispute(channel, subject);
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(address(collector), bond, second);
        assertEq(collector.release(one(channel)), 1);
    }

    /// @dev A dust channel, to eat the node's stake: it has to be accepted, and the node can leave it.
    function test_dustChannels() public {
        Channel memory dust = aChannel();
        dust.nonce = 5;
        bytes memory data = openingCall(dust);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.DepositTooLow.selector, 1, DEPOSIT));
        vault.payAndCall(address(collector), 1, data);
        vm.prank(node);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD + CHALLENGE_WINDOW + 1);
        vm.prank(node);
        collector.close(channel);
        assertEq(reservedByChannels(), 0);
    }

    /// @dev A stolen session key can pay the node, and nobody else.
    function test_aStolenSessionKey() public {
        Claim[] memory claims = one(claimOf(channel, DEPOSIT, DEPOSIT / 10));
        vm.startPrank(signer);
        assertEq(collector.collect(claims), 0);
        Job memory job = aJobIn(channel);
        bytes memory data = receiptChallenge(channel, job, receiptOf(job), operatorKey);
        vm.expectRevert();
        collector.onVaultPayment(client, 3e6, data);
        vm.stopPrank();
        assertEq(vault.balanceOf(signer), 0);
    }

    /// @dev A receipt whose node signed it as somebody's else, or a Completion in the place of a receipt, proves nothing.
    function test_receiptsOfOthers() public {
        Job memory job = aJobIn(channel);
        NodeReceipt memory receipt = receiptOf(job);
        bytes memory data = receiptChallenge(channel, job, receipt, clientKey);
        uint256 bond = court.BOND();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotReceipted.selector, client, node));
        vault.payAndCall(address(collector), bond, data);
    }

    /// @dev Money paid into the collector without a word opens nothing and is owed to nobody.
    function test_strayPayments() public {
        vm.prank(client);
        vault.pay(address(collector), 1e6);
        assertEq(held(), DEPOSIT + 1e6);
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD + CHALLENGE_WINDOW + 1);
        collector.close(channel);
        assertEq(held(), 1e6);
    }

    /// @dev A node whose payout account is its own trap: payments in the Vault call nobody.
    function test_payToThatReverts() public {
        Channel memory trap = aChannel();
        trap.nonce = 9;
        trap.payTo = address(new Trap());
        openChannel(trap);
        collected(trap, 1e6, 60_000);
        collected(channel, 1e6, 60_000);
        rest();
        Channel[] memory both = new Channel[](2);
        (both[0], both[1]) = (trap, channel);
        assertEq(collector.release(both), 2);
        assertEq(vault.balanceOf(trap.payTo), 940_000);
    }

    /// @dev Exact in the escrow's sense: two fuzzed strangers' calls to each verb leave a channel as it was.
    function testFuzz_strangersCanDoNothing(address who, uint128 amount, uint8 verb) public {
        vm.assume(who != client && who != node && who != operator && who != signer && who != address(vault));
        vm.assume(who != address(court));
        bytes32 before = keccak256(abi.encode(state(id)));
        Claim[] memory claims = one(claimOf(channel, amount % DEPOSIT + 1, amount % DEPOSIT + 1));
        vm.startPrank(who);
        if (verb % 6 == 0) {
            collector.collect(claims);
        } else if (verb % 6 == 1) {
            collector.release(one(channel));
        } else if (verb % 6 == 2) {
            try collector.exit(channel) {} catch {}
        } else if (verb % 6 == 3) {
            try collector.close(channel) {} catch {}
        } else if (verb % 6 == 4) {
            try collector.closeDispute(channel, id) {} catch {}
        } else {
            try collector.onRuling(id, Ruling.Upheld, amount) {} catch {}
        }
        vm.stopPrank();
        assertEq(keccak256(abi.encode(state(id))), before);
        assertEq(held(), DEPOSIT);
    }
}

contract Trap {
    fallback() external {
        revert();
    }
}
