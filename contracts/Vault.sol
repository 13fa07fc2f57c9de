// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {Messages} from "./libraries/Messages.sol";

/// @title Vault
/// @notice See IVault, which is the specification.
contract Vault is IVault, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IVault
    IERC20 public immutable token;
    /// @inheritdoc IVault
    mapping(address account => uint256) public balanceOf;
    /// @inheritdoc IVault
    mapping(address payer => mapping(uint256 nonce => bool)) public nonceUsed;

    constructor(IERC20 token_) EIP712("Capek", "1") {
        if (address(token_) == address(0)) revert ZeroAddress();
        token = token_;
    }

    /// @inheritdoc IVault
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IVault
    function deposit(address account, uint256 amount) public nonReentrant {
        if (account == address(0)) revert ZeroAddress();
        if (account == address(this)) revert NoSelfTransfer(account);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        balanceOf[account] += received;
        emit Deposited(account, msg.sender, received);
    }

    /// @inheritdoc IVault
    function depositWithPermit(address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        // Whoever copies the permit out of the mempool and sends it first has only granted the same allowance.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        deposit(account, amount);
    }

    /// @inheritdoc IVault
    function withdraw(address to, uint256 amount) external nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        if (to == address(this)) revert NoSelfTransfer(to);
        _debit(msg.sender, amount);
        emit Withdrawn(msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IVault
    function pay(address to, uint256 amount) external nonReentrantView {
        _pay(msg.sender, to, amount);
    }

    /// @inheritdoc IVault
    /// @dev Refuses to run inside a token transfer, and leaves the guard open for the payee: the ledger is whole before the call,
    /// and a payee may have to pay on.
    function payAndCall(address to, uint256 amount, bytes calldata data) external nonReentrantView {
        _payAndCall(msg.sender, to, amount, data);
    }

    /// @inheritdoc IVault
    function paySigned(Payment calldata payment, bytes calldata signature) external nonReentrantView {
        if (block.timestamp > payment.deadline) revert PaymentExpired(payment.deadline, block.timestamp);
        _useNonce(payment.payer, payment.nonce);
        bytes32 digest = _hashTypedDataV4(Messages.hash(payment));
        if (!SignatureChecker.isValidSignatureNowCalldata(payment.payer, digest, signature)) {
            revert BadPaymentSignature(payment.payer);
        }
        if (payment.data.length == 0) _pay(payment.payer, payment.payee, payment.amount);
        else _payAndCall(payment.payer, payment.payee, payment.amount, payment.data);
    }

    /// @inheritdoc IVault
    function cancelPayment(uint256 nonce) external {
        _useNonce(msg.sender, nonce);
    }

    function _payAndCall(address from, address to, uint256 amount, bytes calldata data) private {
        _pay(from, to, amount);
        if (IVaultReceiver(to).onVaultPayment(from, amount, data) != IVaultReceiver.onVaultPayment.selector) {
            revert PaymentRejected(to);
        }
    }

    function _pay(address from, address to, uint256 amount) private {
        if (to == address(0)) revert ZeroAddress();
        if (to == address(this)) revert NoSelfTransfer(to);
        _debit(from, amount);
        // Bound: the sum of all balances is at most the token's supply.
        unchecked {
            balanceOf[to] += amount;
        }
        emit Paid(from, to, amount);
    }

    function _debit(address account, uint256 amount) private {
        uint256 balance = balanceOf[account];
        if (balance < amount) revert InsufficientBalance(account, balance, amount);
        // Bound: checked in the line above.
        unchecked {
            balanceOf[account] = balance - amount;
        }
    }

    function _useNonce(address payer, uint256 nonce) private {
        if (nonceUsed[payer][nonce]) revert NonceUsed(payer, nonce);
        nonceUsed[payer][nonce] = true;
        emit PaymentNonceUsed(payer, nonce);
    }
}
