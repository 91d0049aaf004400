import { defineConfig } from 'vitest/config'

/** libiscsi's iscsi-test-cu, one test of it at a time. */
export default defineConfig({
  test: {
    include: ['test/suite/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    maxWorkers: 2,
    testTimeout: 140_000,
    hookTimeout: 60_000,
  },
})
