import { randomInt } from 'node:crypto'

/** How long each file of fuzzers may take, and what repeats a run: `npm run fuzz -- --seed N --minutes M`. */
export const SECONDS = Number(process.env.HOLDFAST_FUZZ_SECONDS ?? 35)
export const SEED = Number(process.env.HOLDFAST_FUZZ_SEED ?? randomInt(2 ** 31))
