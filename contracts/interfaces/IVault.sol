// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Somebody's permission, by EIP-712 signature, to move their money (see docs/protocol.md, section 1).
struct Payment {
    address payer;
    address payee;
    uint256 amount;
    bytes data;
    uint256 nonce;
    uint64 deadline;
}

/// @title IVault
/// @notice The only holder of the payment token: a ledger of balances. An account's balance falls only by its own call, or by
/// its own signature naming the payee, the amount and what for. There is no owner and no list of trusted contracts.
interface IVault {
    event Deposited(address indexed account, address indexed from, uint256 amount);
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    event Paid(address indexed from, address indexed to, uint256 amount);
    event PaymentNonceUsed(address indexed payer, uint256 nonce);

    error ZeroAddress();
    error NoSelfTransfer(address vault);
    error InsufficientBalance(address account, uint256 balance, uint256 needed);
    error PaymentRejected(address payee);
    error PaymentExpired(uint64 deadline, uint256 time);
    error NonceUsed(address payer, uint256 nonce);
    error BadPaymentSignature(address payer);

    /// @notice The payment token.
    function token() external view returns (IERC20);

    /// @notice What `account` owns here, in token base units.
    function balanceOf(address account) external view returns (uint256);

    /// @notice Whether `payer` has used or cancelled `nonce`.
    function nonceUsed(address payer, uint256 nonce) external view returns (bool);

    /// @notice The EIP-712 domain of every work message: name Capek, version 1, this chain, this contract.
    function domainSeparator() external view returns (bytes32);

    /// @notice Take `amount` tokens from the caller and credit `account` with what arrived.
    function deposit(address account, uint256 amount) external;

    /// @notice `deposit` after an EIP-2612 permit by the caller; a permit that was already used is no obstacle if the allowance stands.
    function depositWithPermit(address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Send `amount` of the caller's balance out of the Vault, to `to`.
    function withdraw(address to, uint256 amount) external;

    /// @notice Move `amount` of the caller's balance to ledger account `to`.
    function pay(address to, uint256 amount) external;

    /// @notice `pay`, then hand `data` to the contract `to` (see IVaultReceiver).
    function payAndCall(address to, uint256 amount, bytes calldata data) external;

    /// @notice Move the signer's money as they signed; anyone may send it. With empty `data` it is `pay`, else `payAndCall`.
    /// @param signature ECDSA, or ERC-1271 of a contract wallet.
    function paySigned(Payment calldata payment, bytes calldata signature) external;

    /// @notice Make a signed payment that has not been sent worthless.
    function cancelPayment(uint256 nonce) external;
}
