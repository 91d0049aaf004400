import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'test/unit/**/*.test.ts',
      'test/iscsi/**/*.test.ts',
      'test/nbd/**/*.test.ts',
      'test/property/**/*.test.ts',
    ],
    // Worker threads of the product are TypeScript in the tree; they inherit this loader.
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    testTimeout: 20_000,
  },
})
