import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/nemesis/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    fileParallelism: false,
    hookTimeout: 120_000,
  },
})
