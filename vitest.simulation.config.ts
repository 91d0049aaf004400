import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/simulation/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    // The seeds keep every core busy with processes of their own.
    fileParallelism: false,
    testTimeout: 330_000,
  },
})
