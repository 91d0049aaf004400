import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** The stock Linux initiator in a small machine of its own: scripts/lib/guest-part.mjs says what that needs. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/guest/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    // One guest at a time: two of them need more than two cores.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
})
