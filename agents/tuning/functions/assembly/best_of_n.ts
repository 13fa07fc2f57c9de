// Rejection sampling and supervised fine-tuning (Llama 2, arXiv:2307.09288, section 3.2.3): of n answers that the
// model itself gives, learn the best.
//
// The reward it states: how much more a token occurs in answers that consumers preferred than in those they
// turned down, averaged over the answer's tokens (naive Bayes, one added to every count). The preferred answer
// itself is one of the candidates.
//
// Parameters, 4 bytes each: answers sampled for a prompt (3), prompts in a step (2), learning rate (5e-5),
// most tokens of an answer (48), temperature in millionths (800000), passes over the prompts (1).

import * as capek from "./capek";

const MOST_VOCABULARY: i32 = 262144;
// Kept between steps: log odds of every token.
const odds: usize = memory.data(1048576);

export function abi(): i32 { return capek.ABI; }

function prompts(): i32 { return max(1, min(32, capek.paramI32(1, 2))); }
function passes(): i32 { return max(1, min(1000, capek.paramI32(5, 1))); }

export function init(): i32 {
  capek.readTask();
  const size = capek.vocabulary();
  if (size > MOST_VOCABULARY) return capek.FAILED;
  const good = new StaticArray<u32>(size);
  const bad = new StaticArray<u32>(size);
  let allGood: f64 = size, allBad: f64 = size;
  const room = heap.alloc(capek.pairBytes());
  for (let k = 0; k < capek.mine(); k++) {
    const pair = capek.pair(k, room);
    for (let t = 0; t < pair.betterTokens; t++) good[load<i32>(pair.better + 4 * t)]++;
    for (let t = 0; t < pair.worseTokens; t++) bad[load<i32>(pair.worse + 4 * t)]++;
    allGood += pair.betterTokens;
    allBad += pair.worseTokens;
  }
  const shift = Math.log(allBad / allGood);
  for (let t = 0; t < size; t++) {
    store<f32>(odds + 4 * t, <f32>(Math.log((<f64>good[t] + 1) / (<f64>bad[t] + 1)) + shift));
  }
  return capek.stepsFor(prompts(), passes());
}

function reward(answer: usize, tokens: i32): f64 {
  let sum: f64 = 0;
  for (let t = 0; t < tokens; t++) sum += load<f32>(odds + 4 * load<i32>(answer + 4 * t));
  return sum / <f64>tokens;
}

export function step(i: i32): i32 {
  capek.readTask();
  const tries = max(1, min(16, capek.paramI32(0, 3)));
  const rate = capek.paramF32(2, 5e-5);
  const most = max(1, min(512, capek.paramI32(3, 48)));
  const temperature = capek.paramI32(4, 800000);
  const first = i * prompts();
  const last = min(first + prompts(), capek.mine() * passes());

  const batch = new capek.Batch();
  let mean: f64 = 0;
  for (let k = first; k < last; k++) {
    const pair = capek.pair(k);
    let best = pair.better, tokens = pair.betterTokens;
    let value = reward(best, tokens);
    for (let n = 0; n < tries; n++) {
      const answer = heap.alloc(4 * most);
      const seed = capek.seed() + <u64>(k * tries + n);
      const length = capek.sample(capek.OWN, pair, most, temperature, 950000, seed, answer);
      const found = reward(answer, length);
      if (found > value) {
        value = found;
        best = answer;
        tokens = length;
      }
    }
    mean += value;
    batch.sft(pair.prompt, pair.promptTokens, best, tokens);
  }
  const loss = batch.descend(capek.SFT, rate, 0);
  mean /= <f64>batch.count;
  capek.log("step " + i.toString() + ": reward " + mean.toString() + ", loss " + loss.toString());
  return capek.DONE;
}
