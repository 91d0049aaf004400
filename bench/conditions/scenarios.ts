const KIB = 1024
const MIB = 1024 * KIB

/** What one client asks of its volume, as arguments of the load generator. */
export interface Load {
  readonly protocol: 'iscsi' | 'nbd'
  readonly args: readonly string[]
}

/** One neighbour, and what the machine does meanwhile. */
export interface Scenario {
  readonly name: string
  /** Of the quiet client: what is measured, alone and beside the others. */
  readonly quiet: Load
  /**
   * The quiet client runs on the server's core: on the clients' own, the kernel takes its packets behind those that the
   * noisy one has sent, whichever the server is.
   */
  readonly quietBesideServer?: boolean
  /** On a volume of its own; null where the noise is another one. */
  readonly noisy: Load | null
  /** Of the noisy volume, as the API takes them. */
  readonly limits?: { readonly iops?: number; readonly bytesPerSecond?: number }
  /** Before each measurement the noisy volume's data leave the page cache. */
  readonly coldNoise?: boolean
  /** What is asked of the API meanwhile, over so many connections. */
  readonly apiConnections?: number
  /** Reads that miss the page cache and syncs take so long. */
  readonly disk?: { readonly readUs: number; readonly syncUs: number }
}

const load = (
  protocol: Load['protocol'],
  mode: string,
  block: number,
  depth: number,
  ...more: string[]
): Load => ({
  protocol,
  args: ['--mode', mode, '--block', String(block), '--depth', String(depth), ...more],
})

const READER = load('nbd', 'randread', 4 * KIB, 1)
const ISCSI_READER = load('iscsi', 'randread', 4 * KIB, 1)
const WRITER = load('nbd', 'randwrite', 4 * KIB, 1)
const SLOW = { readUs: 5_000, syncUs: 20_000 }

export const SCENARIOS: readonly Scenario[] = [
  { name: 'nbd-read-beside-1m-reads', quiet: READER, noisy: load('nbd', 'read', MIB, 128) },
  { name: 'iscsi-read-beside-1m-reads', quiet: ISCSI_READER, noisy: load('iscsi', 'read', MIB, 128) },
  {
    name: 'nbd-read-beside-1m-writes',
    quiet: READER,
    quietBesideServer: true,
    noisy: load('nbd', 'write', MIB, 128),
  },
  { name: 'iscsi-read-beside-1m-writes', quiet: ISCSI_READER, noisy: load('iscsi', 'write', MIB, 128) },
  {
    name: 'read-beside-4k-reads',
    quiet: READER,
    noisy: load('nbd', 'randread', 4 * KIB, 128, '--connections', '4'),
  },
  {
    name: 'read-beside-4k-reads-limited-to-2000',
    quiet: READER,
    noisy: load('nbd', 'randread', 4 * KIB, 128, '--connections', '4'),
    limits: { iops: 2000 },
  },
  {
    name: 'read-beside-1m-reads-limited-to-100m',
    quiet: READER,
    noisy: load('nbd', 'read', MIB, 128),
    limits: { bytesPerSecond: 100 * MIB },
  },
  { name: 'read-beside-flushes', quiet: READER, noisy: load('nbd', 'randwrite', 4 * KIB, 32, '--flush') },
  { name: 'write-beside-flushes', quiet: WRITER, noisy: load('nbd', 'randwrite', 4 * KIB, 32, '--flush') },
  {
    name: 'read-beside-cold-reads',
    quiet: READER,
    noisy: load('nbd', 'randread', 4 * KIB, 32),
    coldNoise: true,
  },
  {
    name: 'slow-disk-read-beside-flushes',
    quiet: READER,
    noisy: load('nbd', 'randwrite', 4 * KIB, 32, '--flush'),
    disk: SLOW,
  },
  {
    name: 'slow-disk-read-beside-cold-reads',
    quiet: READER,
    noisy: load('nbd', 'randread', 4 * KIB, 32),
    coldNoise: true,
    disk: SLOW,
  },
  { name: 'read-beside-api', quiet: READER, noisy: null, apiConnections: 20 },
]
