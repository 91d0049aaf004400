import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/crash/**/*.test.ts'],
    // Worker threads of the product are TypeScript in the tree; they inherit this loader.
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    // Both files keep every core busy with processes of their own.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 60_000,
  },
})
