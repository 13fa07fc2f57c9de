// The host of a tuning function, ABI 1 (docs/tuning-functions.md), and what functions commonly need on top.
//
// What a function keeps between steps must lie in linear memory: `memory.data(…)` and what objects hold. Globals
// begin anew in every step.

export const ABI: i32 = 1;
export const DONE: i32 = 0;
export const FAILED: i32 = -1;
export const PARENT: i32 = 0;
export const OWN: i32 = 1;
export const SFT: i32 = 0;
export const DPO: i32 = 1;
export const POLICY: i32 = 2;
export const MICRO: i32 = 1000000;

// @ts-ignore: decorator
@external("capek", "params")
declare function hostParams(into: usize, capacity: i32): i32;
// @ts-ignore: decorator
@external("capek", "task")
declare function hostTask(into: usize): void;
// @ts-ignore: decorator
@external("capek", "preference")
declare function hostPreference(index: i32, into: usize, capacity: i32): i32;
// @ts-ignore: decorator
@external("capek", "sample")
declare function hostSample(
  policy: i32, prompt: usize, tokens: i32, most: i32, temperature: i32, topP: i32, seed: i64, into: usize,
): i32;
// @ts-ignore: decorator
@external("capek", "score")
declare function hostScore(policy: i32, prompt: usize, tokens: i32, answer: usize, answerTokens: i32): f64;
// @ts-ignore: decorator
@external("capek", "gradient")
declare function hostGradient(loss: i32, batch: usize, bytes: i32, rate: f32, beta: f32): f64;
// @ts-ignore: decorator
@external("capek", "log")
declare function hostLog(text: usize, bytes: i32): void;

const TASK: usize = memory.data(32);

/** This task: call `readTask` first, in every step. */
export function readTask(): void { hostTask(TASK); }
export function shard(): i32 { return load<i32>(TASK, 0); }
export function shards(): i32 { return load<i32>(TASK, 4); }
export function seed(): u64 { return load<u64>(TASK, 8); }
export function preferences(): i32 { return load<i32>(TASK, 16); }
export function vocabulary(): i32 { return load<i32>(TASK, 20); }
export function context(): i32 { return load<i32>(TASK, 24); }

/** How many preferences this shard has: every `shards`-th of the batch, from `shard` on. */
export function mine(): i32 {
  const all = preferences();
  return all > shard() ? (all - shard() - 1) / shards() + 1 : 0;
}

/** Steps for going over this shard's preferences `passes` times, `each` at a time; what `init` returns. */
export function stepsFor(each: i32, passes: i32): i32 {
  return (mine() * passes + each - 1) / each;
}

const PARAMS: i32 = 256;
const params: usize = memory.data(256);

/** Little-endian parameter number `index` (4 bytes each), or `otherwise` where there are not so many. */
export function paramF32(index: i32, otherwise: f32): f32 {
  return 4 * index + 4 <= min(hostParams(params, PARAMS), PARAMS) ? load<f32>(params + 4 * index) : otherwise;
}
export function paramI32(index: i32, otherwise: i32): i32 {
  return 4 * index + 4 <= min(hostParams(params, PARAMS), PARAMS) ? load<i32>(params + 4 * index) : otherwise;
}

/** A preference: where its tokens lie, and how many there are. */
export class Pair {
  prompt: usize = 0;
  promptTokens: i32 = 0;
  better: usize = 0;
  betterTokens: i32 = 0;
  worse: usize = 0;
  worseTokens: i32 = 0;
}

/** Bytes that any pair fits in. */
export function pairBytes(): i32 { return 12 + 12 * context(); }

/** This shard's preference number `index`, counted round and round; read into `at` where that is given. */
export function pair(index: i32, at: usize = 0): Pair {
  const number = shard() + (index % mine()) * shards();
  const size = hostPreference(number, 0, 0);
  if (at == 0) at = heap.alloc(size);
  hostPreference(number, at, size);
  const found = new Pair();
  found.promptTokens = load<i32>(at, 0);
  found.betterTokens = load<i32>(at, 4);
  found.worseTokens = load<i32>(at, 8);
  found.prompt = at + 12;
  found.better = found.prompt + 4 * found.promptTokens;
  found.worse = found.better + 4 * found.betterTokens;
  return found;
}

export function score(policy: i32, pair: Pair, answer: usize, answerTokens: i32): f64 {
  return hostScore(policy, pair.prompt, pair.promptTokens, answer, answerTokens);
}

/** An answer of at most `most` tokens into `into`; temperature and top-p in millionths. Returns its length. */
export function sample(
  policy: i32, pair: Pair, most: i32, temperature: i32, topP: i32, seed: u64, into: usize,
): i32 {
  return hostSample(policy, pair.prompt, pair.promptTokens, most, temperature, topP, seed as i64, into);
}

/** A batch on its way to the host. */
export class Batch {
  private at: usize;
  private end: usize;

  constructor(private capacity: i32 = 65536) {
    this.at = heap.alloc(capacity);
    this.end = this.at + 4;
    store<i32>(this.at, 0);
  }

  get count(): i32 { return load<i32>(this.at); }

  sft(prompt: usize, promptTokens: i32, answer: usize, answerTokens: i32): void {
    this.item(promptTokens, answerTokens);
    this.copy(prompt, promptTokens);
    this.copy(answer, answerTokens);
  }

  dpo(pair: Pair): void {
    this.item(pair.promptTokens, pair.betterTokens);
    this.u32(pair.worseTokens);
    this.copy(pair.prompt, pair.promptTokens);
    this.copy(pair.better, pair.betterTokens);
    this.copy(pair.worse, pair.worseTokens);
  }

  policy(prompt: usize, promptTokens: i32, answer: usize, answerTokens: i32, weight: f32): void {
    this.item(promptTokens, answerTokens);
    this.need(4);
    store<f32>(this.end, weight);
    this.end += 4;
    this.copy(prompt, promptTokens);
    this.copy(answer, answerTokens);
  }

  /** One optimizer step; the loss before it. */
  descend(loss: i32, rate: f32, beta: f32): f64 {
    return hostGradient(loss, this.at, (this.end - this.at) as i32, rate, beta);
  }

  private item(promptTokens: i32, answerTokens: i32): void {
    store<i32>(this.at, this.count + 1);
    this.u32(promptTokens);
    this.u32(answerTokens);
  }

  /** Make room for so many bytes more. */
  private need(bytes: i32): void {
    const used = (this.end - this.at) as i32;
    if (used + bytes <= this.capacity) return;
    this.capacity = 2 * (used + bytes);
    const at = heap.alloc(this.capacity);
    memory.copy(at, this.at, used);
    this.at = at;
    this.end = at + used;
  }

  private u32(value: i32): void {
    this.need(4);
    store<i32>(this.end, value);
    this.end += 4;
  }

  private copy(from: usize, tokens: i32): void {
    this.need(4 * tokens);
    memory.copy(this.end, from, 4 * tokens);
    this.end += 4 * tokens;
  }
}

/** A line for whoever tries the function out. */
export function log(text: string): void {
  const bytes = String.UTF8.encode(text);
  hostLog(changetype<usize>(bytes), bytes.byteLength);
}
