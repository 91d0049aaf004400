import { defineConfig } from 'vitest/config'

/** Other people's programs against a real daemon: needs the Debian packages that scripts/lib/parts.mjs names. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts', 'test/cluster/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
