// A weighted policy gradient on preference scores: a preferred answer scores 1, the other −1.
//
// The answers were not given by the model as it is now, so each is weighted by how much likelier the model has
// become to give it, a token (the sequence ratio of GSPO, arXiv:2507.18071), and left out once it has moved far
// enough in the direction of its score (PPO's clipping, arXiv:1707.06347).
//
// Parameters, 4 bytes each: pairs in a step (4), learning rate (1e-4), clip (0.3), passes (1).

import * as capek from "./capek";

export function abi(): i32 { return capek.ABI; }

function pairs(): i32 { return max(1, min(64, capek.paramI32(0, 4))); }
function passes(): i32 { return max(1, min(1000, capek.paramI32(3, 1))); }

export function init(): i32 {
  capek.readTask();
  return capek.stepsFor(pairs(), passes());
}

function weight(pair: capek.Pair, answer: usize, tokens: i32, value: f64, clip: f64): f64 {
  const now = capek.score(capek.OWN, pair, answer, tokens);
  const before = capek.score(capek.PARENT, pair, answer, tokens);
  const ratio = Math.exp(Math.max(-5, Math.min(5, (now - before) / <f64>tokens)));
  if (value > 0 ? ratio > 1 + clip : ratio < 1 - clip) return 0;
  return value * ratio;
}

export function step(i: i32): i32 {
  capek.readTask();
  const rate = capek.paramF32(1, 1e-4);
  const clip = <f64>capek.paramF32(2, 0.3);
  const first = i * pairs();
  const last = min(first + pairs(), capek.mine() * passes());

  const batch = new capek.Batch();
  for (let k = first; k < last; k++) {
    const pair = capek.pair(k);
    const better = weight(pair, pair.better, pair.betterTokens, 1, clip);
    if (better != 0) batch.policy(pair.prompt, pair.promptTokens, pair.better, pair.betterTokens, <f32>better);
    const worse = weight(pair, pair.worse, pair.worseTokens, -1, clip);
    if (worse != 0) batch.policy(pair.prompt, pair.promptTokens, pair.worse, pair.worseTokens, <f32>worse);
  }
  if (batch.count > 0) {
    const loss = batch.descend(capek.POLICY, rate, 0);
    capek.log("step " + i.toString() + ": " + batch.count.toString() + " answers, loss " + loss.toString());
  }
  return capek.DONE;
}
