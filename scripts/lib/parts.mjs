import { runGuestPart } from './guest-part.mjs'

const MINUTE_MS = 60_000

/**
 * The parts of `npm test`: how vitest finds the tests, Debian packages that they need, and how long the part may
 * take before it counts as hanging; without `helpfulPackages` it runs all the same, and some tests skip; `run` is of a
 * part that vitest alone cannot run.
 */
export const PARTS = [
  {
    name: 'unit',
    config: 'vitest.config.ts',
    packages: [],
    helpfulPackages: ['libisal2', 'etcd-server'],
    limitMs: 8 * MINUTE_MS,
    onSecondNode: true,
  },
  { name: 'crash', config: 'vitest.crash.config.ts', packages: [], limitMs: 6 * MINUTE_MS },
  {
    name: 'interop',
    config: 'vitest.interop.config.ts',
    packages: [
      'libiscsi-bin',
      'qemu-utils',
      'qemu-block-extra',
      'e2fsprogs',
      'libnbd-bin',
      'fio',
      'gnutls-bin',
      'openssl',
    ],
    limitMs: 6 * MINUTE_MS,
    onSecondNode: true,
  },
  { name: 'suite', config: 'vitest.suite.config.ts', packages: ['libiscsi-bin'], limitMs: 7 * MINUTE_MS },
  { name: 'fuzz', config: 'vitest.fuzz.config.ts', packages: [], limitMs: 4 * MINUTE_MS },
  {
    name: 'simulation',
    config: 'vitest.simulation.config.ts',
    packages: [],
    limitMs: 7 * MINUTE_MS,
  },
  {
    name: 'nemesis',
    config: 'vitest.nemesis.config.ts',
    packages: ['etcd-server', 'iproute2'],
    helpfulPackages: ['e2fsprogs', 'gcc', 'libc6-dev'],
    limitMs: 7 * MINUTE_MS,
  },
  {
    name: 'guest',
    config: 'vitest.guest.config.ts',
    packages: [],
    limitMs: 18 * MINUTE_MS,
    run: runGuestPart,
  },
]
