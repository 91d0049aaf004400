import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/nemesis/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    fileParallelism: false,
    globalSetup: 'test/lib/cluster/leftovers-go-first.ts',
    hookTimeout: 120_000,
  },
})
