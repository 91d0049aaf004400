import { defineConfig } from 'vitest/config'

/** Hostile clients, for as long as test/fuzz/fuzz-budget.ts says. */
export default defineConfig({
  test: {
    include: ['test/fuzz/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    maxWorkers: 2,
    testTimeout: 60_000 + 2000 * Number(process.env.HOLDFAST_FUZZ_SECONDS ?? 35),
    hookTimeout: 60_000,
  },
})
