// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Channel, ChannelState, ChannelStatus, Claim, CollectorBase, IVoucherCollector} from "./CollectorBase.t.sol";

contract CollectTest is CollectorBase {
    function test_books() public {
        (Channel memory channel, bytes32 id) = opened();
        Claim memory claim = claimOf(channel, 1e6, 60_000);
        uint256 until = block.timestamp + CHALLENGE_WINDOW;
        vm.expectEmit(address(collector));
        emit IVoucherCollector.VoucherCollected(id, 1e6, 60_000, until);
        assertTrue(collect(claim));
        ChannelState memory s = state(id);
        assertEq(s.collected, 1e6);
        assertEq(s.modelFee, 60_000);
        assertEq(s.restUntil, until);
        assertEq(s.released, 0);
        // It rests: nobody has been paid yet.
        assertEq(held(), DEPOSIT);
        assertEq(vault.balanceOf(treasurer), 0);
    }

    function test_theOwnerToo() public {
        (Channel memory channel,) = opened();
        Claim[] memory claims = one(claimOf(channel, 1e6, 60_000));
        vm.prank(node);
        assertEq(collector.collect(claims), 1);
    }

    /// @dev A payer who could collect for its node could start the rest anew for ever.
    function test_nobodyElse() public {
        (Channel memory channel,) = opened();
        Claim[] memory claims = one(claimOf(channel, 1e6, 60_000));
        address[3] memory others = [client, signer, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            assertEq(collector.collect(claims), 0);
        }
        vm.prank(node);
        registry.setNode(stranger, 0, "");
        vm.prank(operator);
        assertEq(collector.collect(claims), 0);
        vm.prank(stranger);
        assertEq(collector.collect(claims), 1);
    }

    function test_differencesOnly() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 1e6, 60_000);
        collected(channel, 3e6, 200_000);
        assertEq(state(id).collected, 3e6);
        assertEq(state(id).modelFee, 200_000);
        rest();
        collector.release(one(channel));
        assertEq(vault.balanceOf(treasurer), 2_800_000);
        assertEq(collector.feesOf(modelId), 200_000);
    }

    function test_onlyHigherOnes() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 2e6, 150_000);
        assertFalse(collect(claimOf(channel, 2e6, 150_000)));
        assertFalse(collect(claimOf(channel, 1e6, 60_000)));
        assertFalse(collect(claimOf(channel, 3e6, 149_999)));
        // More for the model than was added would be less for the node.
        assertFalse(collect(claimOf(channel, 2e6 + 10, 150_011)));
        assertTrue(collect(claimOf(channel, 2e6 + 10, 150_010)));
        assertEq(state(id).collected, 2e6 + 10);
    }

    function test_withinTheDeposit() public {
        (Channel memory channel,) = opened();
        assertFalse(collect(claimOf(channel, DEPOSIT + 1, DEPOSIT / 10)));
        assertFalse(collect(claimOf(channel, type(uint128).max, type(uint128).max)));
        assertTrue(collect(claimOf(channel, DEPOSIT, DEPOSIT / 10)));
    }

    /// @dev Payer and node can't agree to keep the model's part: it is at least what the dearer tokens alone would owe.
    function test_theModelsPart() public {
        (Channel memory channel,) = opened();
        uint128 least = uint128(collector.leastModelFee(channel, 1e6));
        assertEq(least, 49_999);
        assertFalse(collect(claimOf(channel, 1e6, least - 1)));
        assertFalse(collect(claimOf(channel, 1e6, 0)));
        assertTrue(collect(claimOf(channel, 1e6, least)));
    }

    function test_signatures() public {
        (Channel memory channel, bytes32 id) = opened();
        assertFalse(collect(claimOf(channel, 1e6, 60_000, clientKey)));
        assertFalse(collect(claimOf(channel, 1e6, 60_000, operatorKey)));
        Claim memory claim = claimOf(channel, 1e6, 60_000);
        claim.cumulativeAmount += 1;
        assertFalse(collect(claim));
        claim = claimOf(channel, 1e6, 60_000);
        claim.cumulativeModelFee += 1;
        assertFalse(collect(claim));
        claim = claimOf(channel, 1e6, 60_000);
        (claim.r, claim.vs) = (0, 0);
        assertFalse(collect(claim));
        assertEq(state(id).collected, 0);
    }

    /// @dev Signed for one channel, worth nothing in another; nor on another chain.
    function test_notInAnotherChannel() public {
        (Channel memory channel,) = opened();
        Channel memory other = aChannel();
        other.nonce = 2;
        openChannel(other);
        Claim memory claim = claimOf(channel, 1e6, 60_000);
        claim.channel = other;
        assertFalse(collect(claim));
        claim.channel = channel;
        vm.chainId(block.chainid + 1);
        assertFalse(collect(claim));
        vm.chainId(block.chainid - 1);
        assertTrue(collect(claim));
    }

    function test_notInAnotherCollector() public {
        (Channel memory channel,) = opened();
        Claim memory claim = claimOf(channel, 1e6, 60_000);
        IVoucherCollector second = deployCollector(collectorConfig());
        provide(second, 100e6);
        Claim[] memory claims = one(claim);
        vm.prank(operator);
        assertEq(second.collect(claims), 0);
    }

    /// @dev What nobody can collect keeps nobody else from being paid.
    function test_manyPayersInOneCall() public {
        Claim[] memory claims = new Claim[](6);
        bytes32[] memory ids = new bytes32[](6);
        for (uint256 i = 0; i < 6; ++i) {
            (address payer,) = makeAddrAndKey(string.concat("payer", vm.toString(i)));
            fund(payer, DEPOSIT);
            Channel memory channel = aChannel();
            channel.payer = payer;
            ids[i] = openChannel(channel);
            claims[i] = claimOf(channel, uint128(1e6 + i), 60_000);
        }
        claims[1].r = 0;
        claims[3].cumulativeAmount = DEPOSIT + 1;
        claims[4].channel.nonce = 99;
        vm.prank(operator);
        assertEq(collector.collect(claims), 3);
        assertEq(state(ids[0]).collected, 1e6);
        assertEq(state(ids[1]).collected, 0);
        assertEq(state(ids[2]).collected, 1e6 + 2);
        assertEq(state(ids[3]).collected, 0);
        assertEq(state(ids[4]).collected, 0);
        assertEq(state(ids[5]).collected, 1e6 + 5);
    }

    function test_ofTwoNodesOnlyOnesOwn() public {
        address other = makeAddr("other node");
        vm.prank(other);
        registry.setNode(operator, 0, "");
        stake(other, PENALTY);
        vm.prank(other);
        registry.provision(address(collector), modelId, PENALTY);
        (Channel memory channel,) = opened();
        Channel memory theirs = aChannel();
        theirs.payee = other;
        openChannel(theirs);
        Claim[] memory claims = new Claim[](3);
        claims[0] = claimOf(channel, 1e6, 60_000);
        claims[1] = claimOf(theirs, 1e6, 60_000);
        claims[2] = claimOf(channel, 2e6, 120_000);
        vm.prank(node);
        assertEq(collector.collect(claims), 2);
        // One operator of both collects for both.
        vm.prank(operator);
        assertEq(collector.collect(claims), 1);
    }

    /// @dev The same voucher twice in a call counts once.
    function test_twiceInOneCall() public {
        (Channel memory channel, bytes32 id) = opened();
        Claim[] memory claims = new Claim[](3);
        claims[0] = claimOf(channel, 1e6, 60_000);
        claims[1] = claims[0];
        claims[2] = claimOf(channel, 2e6, 120_000);
        vm.prank(operator);
        assertEq(collector.collect(claims), 2);
        assertEq(state(id).collected, 2e6);
        rest();
        collector.release(one(channel));
        assertEq(vault.balanceOf(treasurer), 2e6 - 120_000);
    }

    /// @dev What has rested is paid, not locked again.
    function test_releasesWhatHasRested() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 1e6, 60_000);
        rest();
        collected(channel, 3e6, 200_000);
        assertEq(vault.balanceOf(treasurer), 940_000);
        assertEq(collector.feesOf(modelId), 60_000);
        assertEq(state(id).released, 1e6);
        assertEq(state(id).restUntil, block.timestamp + CHALLENGE_WINDOW);
        assertEq(collector.release(one(channel)), 0);
    }

    function test_theRestStartsAnew() public {
        (Channel memory channel, bytes32 id) = opened();
        collected(channel, 1e6, 60_000);
        vm.warp(block.timestamp + CHALLENGE_WINDOW);
        collected(channel, 2e6, 120_000);
        vm.warp(block.timestamp + CHALLENGE_WINDOW);
        assertEq(collector.release(one(channel)), 0);
        vm.warp(block.timestamp + 1);
        assertEq(collector.release(one(channel)), 1);
        assertEq(state(id).released, 2e6);
    }

    function test_untilTheExitsEnd() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + EXIT_PERIOD);
        collected(channel, 1e6, 60_000);
        vm.warp(block.timestamp + 1);
        assertFalse(collect(claimOf(channel, 2e6, 120_000)));
        assertEq(state(id).collected, 1e6);
    }

    function test_whileDisputed() public {
        (Channel memory channel, bytes32 id) = opened();
        disputedChannel(channel);
        collected(channel, 1e6, 60_000);
        assertChannel(id, ChannelStatus.Disputed);
        rest();
        collected(channel, 2e6, 120_000);
        // Frozen: nothing is paid out, neither by itself nor by release.
        assertEq(collector.release(one(channel)), 0);
        assertEq(vault.balanceOf(treasurer), 0);
    }

    function test_notAfterTheEnd() public {
        (Channel memory channel,) = opened();
        Claim memory claim = claimOf(channel, 1e6, 60_000);
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + 1 days);
        collector.close(channel);
        assertFalse(collect(claim));
    }

    function test_nothingAtAll() public {
        assertEq(collector.collect(new Claim[](0)), 0);
        assertFalse(collect(claimOf(aChannel(), 1e6, 60_000)));
    }
}

contract CollectFuzzTest is CollectorBase {
    Channel private channel;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        (channel, id) = opened();
    }

    /// @dev Whatever is signed: totals only rise, the node's part and the model's part too, and it all lies within the deposit.
    function testFuzz_collect(uint128[4] memory amounts, uint128[4] memory fees) public {
        ChannelState memory last;
        for (uint256 i = 0; i < 4; ++i) {
            // Mostly such as could be taken.
            uint128 amount = amounts[i] % 8 == 0 ? amounts[i] : amounts[i] % (DEPOSIT + 10);
            uint128 fee = fees[i] % 8 == 0 ? fees[i] : amount == 0 ? 0 : fees[i] % amount;
            bool taken = collect(claimOf(channel, amount, fee));
            ChannelState memory now_ = state(id);
            bool rises = amount > last.collected && amount <= DEPOSIT && fee >= last.modelFee
                && uint256(fee) - last.modelFee <= amount - last.collected
                && uint256(fee) * 200e6 + 200e6 > (uint256(amount) - 1) * 10e6;
            assertEq(taken, rises, "taken");
            assertEq(now_.collected, taken ? amount : last.collected);
            assertEq(now_.modelFee, taken ? fee : last.modelFee);
            last = now_;
        }
        rest();
        collector.release(one(channel));
        assertEq(vault.balanceOf(treasurer), last.collected - last.modelFee);
        assertEq(collector.feesOf(modelId), last.modelFee);
        assertEq(held(), DEPOSIT - last.collected + last.modelFee);
    }
}
