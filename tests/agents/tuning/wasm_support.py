"""Modules written by hand, for the tests of the sandbox."""

import wasmtime

from agents.tuning.module import Module

IMPORTS = {
    "params": '(import "capek" "params" (func $params (param i32 i32) (result i32)))',
    "task": '(import "capek" "task" (func $task (param i32)))',
    "preference": '(import "capek" "preference" (func $preference (param i32 i32 i32) (result i32)))',
    "sample": (
        '(import "capek" "sample" (func $sample (param i32 i32 i32 i32 i32 i32 i64 i32) (result i32)))'
    ),
    "score": '(import "capek" "score" (func $score (param i32 i32 i32 i32 i32) (result f64)))',
    "gradient": '(import "capek" "gradient" (func $gradient (param i32 i32 i32 f32 f32) (result f64)))',
    "log": '(import "capek" "log" (func $log (param i32 i32)))',
}


def wat(
    step: str = "i32.const 0", init: str = "i32.const 10", imports: str = "", extra: str = "", memory="1 64"
):
    """A module's text: the body of `step`, with the step number as $i."""
    lent = "\n".join(IMPORTS[name] for name in imports.split())
    return f"""(module
      {lent}
      (memory (export "memory") {memory})
      {extra}
      (func (export "abi") (result i32) i32.const 1)
      (func (export "init") (result i32) {init})
      (func (export "step") (param $i i32) (result i32) {step}))"""


def module(*args, **given) -> Module:
    return Module(bytes(wasmtime.wat2wasm(wat(*args, **given))))
