"""Tuning: sandboxed functions, the training they ask for, traces that prove it, merges.

The ABI and the trace are in docs/tuning-functions.md.

Importing this package needs neither wasmtime nor torch: whoever only reads proposals has them not.
"""
