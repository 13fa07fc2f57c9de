// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Job, Completion} from "contracts/interfaces/IJobEscrow.sol";
import {Channel, Receipt as NodeReceipt} from "contracts/interfaces/IVoucherCollector.sol";
import {Payment, IVault} from "contracts/interfaces/IVault.sol";
import {Messages} from "contracts/libraries/Messages.sol";
import {Pricing} from "contracts/libraries/Pricing.sol";
import {IModelRegistry} from "contracts/interfaces/IModelRegistry.sol";

/// @notice Solidity against the vectors that Python made and is tested with: one definition of the protocol.
contract VectorsTest is Test {
    string private json;

    function setUp() public {
        json = vm.readFile("tests/vectors/messages.json");
    }

    function words(string memory key) private view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(json, key);
    }

    function blobs(string memory key) private view returns (bytes[] memory) {
        return vm.parseJsonBytesArray(json, key);
    }

    function numbers(string memory key) private view returns (uint256[] memory) {
        return vm.parseJsonUintArray(json, key);
    }

    function jobHash(Job calldata job) external pure returns (bytes32) {
        return Messages.hash(job);
    }

    function completionHash(Completion calldata completion) external pure returns (bytes32) {
        return Messages.hash(completion);
    }

    function paymentHash(Payment calldata payment) external pure returns (bytes32) {
        return Messages.hash(payment);
    }

    function channelHash(Channel calldata channel) external pure returns (bytes32) {
        return Messages.hash(channel);
    }

    /// @dev The hash, and that of the Completion it begins as.
    function receiptHash(NodeReceipt calldata receipt) external pure returns (bytes32, bytes32) {
        return (Messages.hash(receipt), Messages.hash(Messages.completionOf(receipt)));
    }

    function test_typeHashes() public view {
        assertEq(Messages.CHANNEL_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Channel"));
        assertEq(Messages.CHANNEL_ACCEPTANCE_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.ChannelAcceptance"));
        assertEq(Messages.VOUCHER_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Voucher"));
        assertEq(Messages.RECEIPT_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Receipt"));
        assertEq(Messages.JOB_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Job"));
        assertEq(Messages.ACCEPTANCE_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Acceptance"));
        assertEq(Messages.COMPLETION_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Completion"));
        assertEq(Messages.PAYMENT_TYPEHASH, vm.parseJsonBytes32(json, ".typeHashes.Payment"));
    }

    function test_jobs() public view {
        bytes[] memory encoded = blobs(".job.encoded");
        bytes32[] memory hashes = words(".job.structHashes");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            assertEq(this.jobHash(abi.decode(encoded[i], (Job))), hashes[i]);
        }
    }

    function test_completions() public view {
        bytes[] memory encoded = blobs(".completion.encoded");
        bytes32[] memory hashes = words(".completion.structHashes");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            assertEq(this.completionHash(abi.decode(encoded[i], (Completion))), hashes[i]);
        }
    }

    /// @dev In the order of IVault's Payment, whose ABI form is (payer, payee, amount, data, nonce, deadline).
    function test_payments() public view {
        bytes[] memory encoded = blobs(".payment.encoded");
        bytes32[] memory hashes = words(".payment.structHashes");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            assertEq(this.paymentHash(abi.decode(encoded[i], (Payment))), hashes[i]);
        }
    }

    function test_domains() public {
        uint256[] memory chains = numbers(".domains.chainIds");
        address[] memory vaults = vm.parseJsonAddressArray(json, ".domains.vaults");
        bytes32[] memory separators = words(".domains.separators");
        IVault vault = IVault(deployCode("Vault.sol:Vault", abi.encode(address(1))));
        bytes memory code = address(vault).code;
        for (uint256 i = 0; i < separators.length; ++i) {
            // The EVM here has 64-bit chain ids and no code at address 0.
            if (chains[i] > type(uint64).max || vaults[i] == address(0)) continue;
            vm.etch(vaults[i], code);
            vm.chainId(chains[i]);
            assertEq(IVault(vaults[i]).domainSeparator(), separators[i]);
        }
    }

    /// @dev The digest that a node's operator signs, and the signature it gives, are Python's.
    function test_acceptances() public view {
        bytes[] memory encoded = blobs(".acceptance.encoded");
        bytes32[] memory digests = words(".acceptance.digests");
        bytes[] memory signatures = blobs(".acceptance.signatures");
        bytes32 domain = vm.parseJsonBytes32(json, ".domains.separators[0]");
        address signer = vm.parseJsonAddress(json, ".signer");
        assertGt(digests.length, 0);
        for (uint256 i = 0; i < digests.length; ++i) {
            (bytes32 id, uint64 expires) = abi.decode(encoded[i], (bytes32, uint64));
            bytes32 digest = Messages.acceptance(domain, id, expires);
            assertEq(digest, digests[i]);
            assertEq(ECDSA.recover(digest, signatures[i]), signer);
        }
    }

    function test_channels() public view {
        bytes[] memory encoded = blobs(".channel.encoded");
        bytes32[] memory hashes = words(".channel.structHashes");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            assertEq(this.channelHash(abi.decode(encoded[i], (Channel))), hashes[i]);
        }
    }

    function test_channelAcceptances() public view {
        bytes[] memory encoded = blobs(".channelacceptance.encoded");
        bytes32[] memory digests = words(".channelacceptance.digests");
        bytes32 domain = vm.parseJsonBytes32(json, ".domains.separators[0]");
        assertGt(digests.length, 0);
        for (uint256 i = 0; i < digests.length; ++i) {
            (bytes32 id, uint128 deposit, uint64 expires) = abi.decode(encoded[i], (bytes32, uint128, uint64));
            assertEq(Messages.channelAcceptance(domain, id, deposit, expires), digests[i]);
        }
    }

    function test_vouchers() public view {
        bytes[] memory encoded = blobs(".voucher.encoded");
        bytes32[] memory digests = words(".voucher.digests");
        bytes[] memory signatures = blobs(".voucher.signatures");
        bytes32 domain = vm.parseJsonBytes32(json, ".domains.separators[0]");
        address signer = vm.parseJsonAddress(json, ".signer");
        assertGt(digests.length, 0);
        for (uint256 i = 0; i < digests.length; ++i) {
            (bytes32 id, address payer, address payee, uint128 amount, uint128 fee) =
                abi.decode(encoded[i], (bytes32, address, address, uint128, uint128));
            bytes32 digest = Messages.voucher(domain, id, payer, payee, amount, fee);
            assertEq(digest, digests[i]);
            assertEq(ECDSA.recover(digest, signatures[i]), signer);
        }
    }

    function test_receipts() public view {
        bytes[] memory encoded = blobs(".receipt.encoded");
        bytes32[] memory hashes = words(".receipt.structHashes");
        bytes32[] memory digests = words(".receipt.digests");
        bytes32 domain = vm.parseJsonBytes32(json, ".domains.separators[0]");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            (bytes32 found, bytes32 completion) = this.receiptHash(abi.decode(encoded[i], (NodeReceipt)));
            assertEq(found, hashes[i]);
            assertEq(Messages.receiptDigest(domain, found), digests[i]);
            assertEq(completion, this.completionHash(abi.decode(encoded[i], (Completion))));
        }
    }

    function test_leastFees() public view {
        uint256[] memory least = numbers(".leastFees.least");
        assertGt(least.length, 0);
        for (uint256 i = 0; i < least.length; ++i) {
            uint256 found = Pricing.leastFee(
                numbers(".leastFees.amount")[i],
                numbers(".leastFees.inputPrice")[i],
                numbers(".leastFees.outputPrice")[i],
                numbers(".leastFees.modelFee")[i]
            );
            assertEq(found, least[i]);
        }
    }

    function test_prices() public view {
        uint256[] memory payments = numbers(".prices.payment");
        assertGt(payments.length, 0);
        for (uint256 i = 0; i < payments.length; ++i) {
            (uint256 payment, uint256 fee) = Pricing.settle(
                at("promptTokens", i),
                at("outputTokens", i),
                at("inputPrice", i),
                at("outputPrice", i),
                at("modelFee", i),
                at("ceiling", i)
            );
            assertEq(payment, payments[i]);
            assertEq(fee, at("modelFeePaid", i));
            assertEq(payment - fee, at("nodeShare", i));
            assertEq(at("ceiling", i) - payment, at("refund", i));
        }
    }

    function at(string memory field, uint256 i) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(".prices.", field, "[", Strings.toString(i), "]"));
    }

    /// @dev What the escrow hashes as it is, is what Python masked.
    function test_maskedTokens() public view {
        bytes[] memory maskedTokens = blobs(".masks.masked");
        bytes32[] memory hashes = words(".masks.hashes");
        bytes32[] memory secrets = words(".masks.secrets");
        bytes32[] memory secretHashes = words(".masks.secretHashes");
        assertGt(hashes.length, 0);
        for (uint256 i = 0; i < hashes.length; ++i) {
            assertEq(keccak256(maskedTokens[i]), hashes[i]);
            assertEq(keccak256(abi.encode(secrets[i])), secretHashes[i]);
        }
    }

    function test_modelIds() public {
        IModelRegistry models = IModelRegistry(deployCode("ModelRegistry.sol:ModelRegistry", abi.encode(address(this))));
        address[] memory trainers = vm.parseJsonAddressArray(json, ".modelIds.trainers");
        string[] memory names = vm.parseJsonStringArray(json, ".modelIds.names");
        uint256[] memory ids = numbers(".modelIds.ids");
        assertGt(ids.length, 0);
        for (uint256 i = 0; i < ids.length; ++i) {
            assertEq(models.modelIdOf(trainers[i], names[i]), ids[i]);
        }
    }
}
