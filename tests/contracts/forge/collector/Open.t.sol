// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Channel,
    ChannelState,
    ChannelStatus,
    CollectorBase,
    IVault,
    IVoucherCollector,
    IVoucherCollectorPayments
} from "./CollectorBase.t.sol";
import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {Payment} from "contracts/interfaces/IVault.sol";
import {ContractWallet} from "../doubles/ContractWallet.sol";

contract OpenChannelTest is CollectorBase {
    function refuses(uint256 amount, bytes memory data, bytes memory error) private {
        vm.prank(client);
        vm.expectRevert(error);
        vault.payAndCall(address(collector), amount, data);
    }

    function refuses(Channel memory channel, bytes memory error) private {
        refuses(DEPOSIT, openingCall(channel), error);
    }

    function test_locksAndReserves() public {
        Channel memory channel = aChannel();
        uint256 before = vault.balanceOf(client);
        bytes32 id = collector.channelId(channel);
        vm.expectEmit(address(collector));
        emit IVoucherCollector.ChannelOpened(id, client, node, channel, DEPOSIT);
        openChannel(channel);
        ChannelState memory s = state(id);
        assertEq(uint256(s.status), uint256(ChannelStatus.Open));
        assertEq(s.deposit, DEPOSIT);
        assertEq(s.collected + s.modelFee + s.released + s.releasedModelFee + s.restUntil + s.exitAt, 0);
        assertEq(vault.balanceOf(client), before - DEPOSIT);
        assertEq(held(), DEPOSIT);
        assertEq(reservedByChannels(), PENALTY);
    }

    /// @dev A contract wallet, or anybody who signed a Payment, need not send the transaction.
    function test_bySignedPayment() public {
        (address owner, uint256 key) = makeAddrAndKey("owner");
        ContractWallet wallet = new ContractWallet(owner);
        fund(address(wallet), DEPOSIT);
        Channel memory channel = aChannel();
        channel.payer = address(wallet);
        bytes memory data = openingCall(channel);
        Payment memory payment = Payment(address(wallet), address(collector), DEPOSIT, data, 1, soon());
        bytes32 kind =
            keccak256("Payment(address payer,address payee,uint256 amount,bytes data,uint256 nonce,uint64 deadline)");
        bytes32 hash = digest(
            keccak256(abi.encode(kind, payment.payer, payment.payee, DEPOSIT, keccak256(data), 1, payment.deadline))
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        vault.paySigned(payment, abi.encodePacked(r, s, v));
        assertChannel(collector.channelId(channel), ChannelStatus.Open);
    }

    /// @dev A node accepts a channel of some size; dust would bind as much stake.
    function test_noLessThanWasAccepted() public {
        bytes memory data = openingCall(aChannel());
        refuses(
            DEPOSIT - 1, data, abi.encodeWithSelector(IVoucherCollector.DepositTooLow.selector, DEPOSIT - 1, DEPOSIT)
        );
        vm.prank(client);
        vault.payAndCall(address(collector), DEPOSIT + 1, data);
        assertEq(state(collector.channelId(aChannel())).deposit, DEPOSIT + 1);
    }

    function test_amountsThatFit() public {
        uint256 most = type(uint56).max;
        fund(client, most + 1);
        bytes memory data = openingCall(aChannel());
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(address(collector), most + 1, data);
        vm.prank(client);
        vault.payAndCall(address(collector), most, data);
    }

    function test_onlyThePayer() public {
        Channel memory channel = aChannel();
        bytes memory data = openingCall(channel);
        fund(stranger, DEPOSIT);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotPayer.selector, stranger, client));
        vault.payAndCall(address(collector), DEPOSIT, data);
    }

    function test_onlyThroughTheVault() public {
        bytes memory data = openingCall(aChannel());
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.NotVault.selector, client));
        collector.onVaultPayment(client, DEPOSIT, data);
    }

    function test_theAcceptanceIsOverThisChannelAndSize() public {
        Channel memory channel = aChannel();
        (, uint256 otherKey) = makeAddrAndKey("other operator");
        bytes memory data = openingCall(channel, DEPOSIT, soon(), otherKey);
        refuses(
            DEPOSIT,
            data,
            abi.encodeWithSelector(IVoucherCollector.NotAccepted.selector, makeAddr("other operator"), operator)
        );
        bytes32 id = collector.channelId(channel);
        (bytes32 r, bytes32 vs) = vm.signCompact(operatorKey, acceptanceOf(id, DEPOSIT, soon()));
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(
            address(collector),
            DEPOSIT,
            abi.encodeCall(IVoucherCollectorPayments.open, (channel, DEPOSIT - 1, soon(), r, vs))
        );
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(
            address(collector),
            DEPOSIT,
            abi.encodeCall(IVoucherCollectorPayments.open, (channel, DEPOSIT, soon() + 1, r, vs))
        );
        // An acceptance of a job is none of a channel, whatever its hash.
        (r, vs) = vm.signCompact(operatorKey, acceptance(id, soon()));
        vm.prank(client);
        vm.expectRevert();
        vault.payAndCall(
            address(collector),
            DEPOSIT,
            abi.encodeCall(IVoucherCollectorPayments.open, (channel, DEPOSIT, soon(), r, vs))
        );
    }

    function test_acceptancesExpire() public {
        uint64 expires = soon();
        bytes memory data = openingCall(aChannel(), DEPOSIT, expires, operatorKey);
        vm.warp(expires + 1);
        refuses(
            DEPOSIT,
            data,
            abi.encodeWithSelector(IVoucherCollector.AcceptanceExpired.selector, expires, uint256(expires) + 1)
        );
        vm.warp(expires);
        vm.prank(client);
        vault.payAndCall(address(collector), DEPOSIT, data);
    }

    function test_once() public {
        (Channel memory channel, bytes32 id) = opened();
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.ChannelExists.selector, id));
        channel.nonce = 2;
        assertTrue(openChannel(channel) != id);
        assertEq(reservedByChannels(), 2 * PENALTY);
    }

    function test_notAgainAfterItsEnd() public {
        (Channel memory channel, bytes32 id) = opened();
        vm.prank(client);
        collector.exit(channel);
        vm.warp(block.timestamp + 1 days);
        collector.close(channel);
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.ChannelExists.selector, id));
    }

    function test_terms() public {
        Channel memory channel = aChannel();
        channel.collector = address(escrow);
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.WrongCollector.selector, address(escrow)));
        channel = aChannel();
        channel.signer = address(0);
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.ZeroSigner.selector));
        channel = aChannel();
        channel.payTo = address(0);
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.BadPayTo.selector, address(0)));
        channel.payTo = address(vault);
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.BadPayTo.selector, address(vault)));
        channel = aChannel();
        channel.inputPrice = MODEL_FEE - 1;
        refuses(
            channel, abi.encodeWithSelector(IVoucherCollector.FeeAbovePrice.selector, MODEL_FEE, MODEL_FEE - 1, 200e6)
        );
        channel = aChannel();
        channel.outputPrice = MODEL_FEE - 1;
        refuses(
            channel, abi.encodeWithSelector(IVoucherCollector.FeeAbovePrice.selector, MODEL_FEE, 50e6, MODEL_FEE - 1)
        );
        channel = aChannel();
        channel.modelFee = MODEL_FEE - 1;
        refuses(channel, abi.encodeWithSelector(IVoucherCollector.WrongModelFee.selector, MODEL_FEE - 1, MODEL_FEE));
    }

    function test_needsStake() public {
        IVoucherCollector poor = deployCollector(collectorConfig());
        provide(poor, PENALTY - 1);
        collector = poor;
        refuses(
            aChannel(),
            abi.encodeWithSelector(
                INodeRegistry.InsufficientProvision.selector, node, address(poor), modelId, PENALTY - 1, PENALTY
            )
        );
    }

    function test_shapeOfTheCall() public {
        bytes memory data = openingCall(aChannel());
        refuses(
            DEPOSIT,
            bytes.concat(data, hex"00"),
            abi.encodeWithSelector(IVoucherCollector.BadCallLength.selector, 449, 448)
        );
        refuses(
            DEPOSIT, hex"01020304", abi.encodeWithSelector(IVoucherCollector.UnknownCall.selector, bytes4(0x01020304))
        );
        refuses(DEPOSIT, "", abi.encodeWithSelector(IVoucherCollector.UnknownCall.selector, bytes4(0)));
    }

    /// @dev Two keys that conspire to open a channel whose id nobody else can name.
    function test_noDirtyMembers() public {
        uint8[10] memory bits = [160, 160, 160, 160, 160, 64, 64, 64, 64, 64];
        Channel memory channel = aChannel();
        for (uint256 i = 0; i < 10; ++i) {
            bytes memory data = openingCall(channel);
            uint256 dirt = uint256(1) << bits[i];
            assembly ("memory-safe") {
                let at := add(add(data, 36), mul(32, i))
                mstore(at, or(mload(at), dirt))
            }
            bytes memory members = new bytes(320);
            for (uint256 k = 0; k < 320; ++k) {
                members[k] = data[4 + k];
            }
            bytes32 kind = keccak256(
                "Channel(address collector,address payer,address payee,address signer,address payTo,uint64 modelId,uint64 inputPrice,uint64 outputPrice,uint64 modelFee,uint64 nonce)"
            );
            bytes32 id = keccak256(bytes.concat(kind, members));
            (bytes32 r, bytes32 vs) = vm.signCompact(operatorKey, acceptanceOf(id, DEPOSIT, soon()));
            assembly ("memory-safe") {
                mstore(add(data, 420), r)
                mstore(add(data, 452), vs)
            }
            vm.prank(client);
            vm.expectRevert();
            vault.payAndCall(address(collector), DEPOSIT, data);
        }
    }
}
