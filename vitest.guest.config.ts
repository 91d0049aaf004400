import { defineConfig } from 'vitest/config'

/** The stock Linux initiator in a small machine of its own: scripts/lib/guest-part.mjs says what that needs. */
export default defineConfig({
  test: {
    include: ['test/guest/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    // They share a network namespace: each section is a run of its own.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000, interval: 500 } },
  },
})
