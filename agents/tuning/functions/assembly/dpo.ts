// Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290) on the consumers' preferences.
//
// Parameters, 4 bytes each: pairs in a step (4), learning rate (1e-4, warmed up over the first 5 steps),
// beta (0.1), passes over the shard's preferences (1).

import * as capek from "./capek";

export function abi(): i32 { return capek.ABI; }

function pairs(): i32 { return max(1, min(64, capek.paramI32(0, 4))); }
function passes(): i32 { return max(1, min(1000, capek.paramI32(3, 1))); }

export function init(): i32 {
  capek.readTask();
  return capek.stepsFor(pairs(), passes()); // 0 without preferences: there is nothing to learn from
}

export function step(i: i32): i32 {
  capek.readTask();
  const rate = capek.paramF32(1, 1e-4);
  const beta = capek.paramF32(2, 0.1);
  const first = i * pairs();
  const last = min(first + pairs(), capek.mine() * passes());

  const batch = new capek.Batch();
  for (let k = first; k < last; k++) batch.dpo(capek.pair(k));
  const warm = min<f32>(1, (<f32>i + 1) / 5);
  const loss = batch.descend(capek.DPO, rate * warm, beta);
  capek.log("step " + i.toString() + ": " + batch.count.toString() + " pairs, loss " + loss.toString());
  return capek.DONE;
}
