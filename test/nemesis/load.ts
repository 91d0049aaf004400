import { REGION_BYTES } from '../../src/store/layout.ts'
import { BLOCK_BYTES, blockValue, fillBlock } from './block-content.ts'
import { BlockHistory } from './block-history.ts'
import { type Disk, type Gateway, openIscsi, openNbd } from './disk.ts'

// Writes and reads one volume through all its gateways while it is being hurt, and knows what every block may hold.
// Runs in a process of its own, on a host of the test's network; what it found is one line of JSON at the end.

export interface LoadSettings {
  readonly gateways: readonly Gateway[]
  readonly volume: string
  /** At the beginning of the volume, written again and again by everybody. */
  readonly blocks: number
  /** One in each region after the first: written as time goes by, so that bricks need more and more space. */
  readonly freshBlocks: number
  readonly workers: number
  /** Share of them that speaks iSCSI. */
  readonly iscsiShare: number
  readonly seed: number
}

export interface LoadReport {
  readonly reads: number
  readonly writes: number
  readonly flushes: number
  readonly unknown: number
  /** Writes that no space was left for. */
  readonly refused: number
  readonly reconnects: number
  /** The longest time without any acknowledged operation of any worker. */
  readonly longestStallMs: number
  readonly violations: readonly string[]
  /** What connections ended with, and how often. */
  readonly errors: Readonly<Record<string, number>>
}

const OPERATION_MS_MAX = 30_000
const RETRY_MS = 100
const FLUSH_EVERY = 40
const VIOLATIONS_MAX = 20
const FRESH_EVERY_MS = 250
/** Share of reads and writes that takes any block that was ever written. */
const FRESH_SHARE = 0.1
const BLOCKS_PER_REGION = REGION_BYTES / BLOCK_BYTES

/** A client as the target knows it. All NBD connections of a volume are one, through one gateway at a time. */
interface Connection {
  readonly disk: Disk
  readonly identity: string
  /** Whose writes can have no effect any more once one of ours is acknowledged: the first one is what ends them. */
  replaces: readonly string[]
}

/** mulberry32: small, seeded, good enough to choose blocks. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export class Load {
  readonly #settings: LoadSettings
  readonly #histories: BlockHistory[]
  readonly #writing = new Set<number>()
  readonly #errors: Record<string, number> = {}
  readonly #violations: string[] = []
  #counts = { reads: 0, writes: 0, flushes: 0, unknown: 0, refused: 0, reconnects: 0 }
  #nextValue = 1
  #lastAckMs = performance.now()
  #longestStallMs = 0
  #stopping = false
  #nbdGateway = 0
  #nextFreshMs = 0

  constructor(settings: LoadSettings) {
    this.#settings = settings
    this.#histories = Array.from({ length: settings.blocks }, () => new BlockHistory())
  }

  /** Until stop(); then every block is read once more, through whichever gateway answers. */
  async run(): Promise<LoadReport> {
    const { workers } = this.#settings
    await Promise.all(Array.from({ length: workers }, (_, worker) => this.#work(worker)))
    await this.#readAll()
    return {
      ...this.#counts,
      longestStallMs: Math.round(this.#longestStallMs),
      violations: this.#violations,
      errors: this.#errors,
    }
  }

  stop(): void {
    this.#stopping = true
  }

  async #work(worker: number): Promise<void> {
    const chance = seededRandom(this.#settings.seed * 1000 + worker)
    let gateway = worker
    while (!this.#stopping) {
      const connection = await this.#connect(worker, gateway)
      if (connection === null) {
        gateway++
        await new Promise(resolve => setTimeout(resolve, RETRY_MS))
        continue
      }
      try {
        for (let count = 0; !this.#stopping; count++) await this.#step(connection, chance, count)
      } catch (error) {
        this.#noteError(error)
        gateway++
      } finally {
        connection.disk.close()
      }
    }
  }

  async #connect(worker: number, attempt: number): Promise<Connection | null> {
    const { iscsiShare, workers } = this.#settings
    this.#counts.reconnects++
    try {
      return worker < Math.round(workers * iscsiShare)
        ? await this.#connectIscsi(`iqn.2026-11.test:worker-${worker}`, attempt)
        : await this.#connectNbd()
    } catch (error) {
      this.#noteError(error)
      return null
    }
  }

  async #connectIscsi(identity: string, attempt: number): Promise<Connection> {
    const { gateways, volume } = this.#settings
    const gateway = gateways[attempt % gateways.length] as Gateway
    const disk = await within(openIscsi(gateway, volume, identity))
    return { disk, identity, replaces: [identity] }
  }

  /** Whoever fails takes all to the next gateway. */
  async #connectNbd(): Promise<Connection> {
    const { gateways, volume } = this.#settings
    const at = this.#nbdGateway
    try {
      const disk = await within(openNbd(gateways[at] as Gateway, volume))
      const others = [...gateways.keys()].filter(other => other !== at)
      return { disk, identity: `nbd@${at}`, replaces: others.map(other => `nbd@${other}`) }
    } catch (error) {
      if (this.#nbdGateway === at) this.#nbdGateway = (at + 1) % gateways.length
      throw error
    }
  }

  #returned(connection: Connection): void {
    for (const identity of connection.replaces) {
      for (const history of this.#histories) history.clientReturned(identity)
    }
    connection.replaces = []
  }

  async #step(connection: Connection, chance: () => number, count: number): Promise<void> {
    const { disk } = connection
    if (this.#freshIsDue()) return this.#write(connection, this.#histories.push(new BlockHistory()) - 1)
    const { blocks } = this.#settings
    const block = Math.floor(chance() * (chance() < FRESH_SHARE ? this.#histories.length : blocks))
    if (count % FLUSH_EVERY === FLUSH_EVERY - 1) {
      await within(disk.flush())
      this.#counts.flushes++
      return this.#acknowledged()
    }
    if (chance() < 0.5 && !this.#writing.has(block)) return this.#write(connection, block)
    return this.#read(disk, block)
  }

  #freshIsDue(): boolean {
    const { blocks, freshBlocks } = this.#settings
    const now = performance.now()
    if (now < this.#nextFreshMs || this.#histories.length >= blocks + freshBlocks) return false
    this.#nextFreshMs = now + FRESH_EVERY_MS
    return true
  }

  /** In blocks from the beginning of the volume. */
  #placeOf(block: number): number {
    const { blocks } = this.#settings
    return block < blocks ? block : (block - blocks + 1) * BLOCKS_PER_REGION
  }

  async #write(connection: Connection, block: number): Promise<void> {
    const { disk, identity } = connection
    const history = this.#histories[block] as BlockHistory
    const value = this.#nextValue++
    const place = this.#placeOf(block)
    const data = Buffer.alloc(BLOCK_BYTES)
    fillBlock(data, place, value)
    this.#writing.add(block)
    history.writeBegan(value)
    try {
      const written = await within(disk.write(place, data))
      if (written === 'noSpace') {
        this.#counts.refused++
        this.#judge(block, history.writeRefused())
      } else {
        this.#returned(connection)
        history.writeAcknowledged()
        this.#counts.writes++
        this.#acknowledged()
      }
    } catch (error) {
      history.writeUnknown(identity)
      this.#counts.unknown++
      throw error
    } finally {
      this.#writing.delete(block)
    }
  }

  async #read(disk: Disk, block: number): Promise<void> {
    const history = this.#histories[block] as BlockHistory
    const began = history.readBegan()
    const place = this.#placeOf(block)
    const data = await within(disk.read(place))
    this.#counts.reads++
    this.#acknowledged()
    const value = blockValue(data, place)
    this.#judge(block, typeof value === 'string' ? value : history.readEnded(began, value))
  }

  #judge(block: number, wrong: string | null): void {
    if (wrong !== null && this.#violations.length < VIOLATIONS_MAX) {
      const { events } = this.#histories[block] as BlockHistory
      this.#violations.push(`block ${block}: ${wrong}\n  ${events.join('\n  ')}`)
    }
  }

  async #readAll(): Promise<void> {
    const { gateways, workers } = this.#settings
    const blocks = this.#histories.length
    for (let attempt = 0, block = 0; block < blocks; attempt++) {
      if (attempt > gateways.length * 100) throw new Error('no gateway lets all blocks be read at the end')
      const connection = await this.#connect(workers, attempt)
      if (connection === null) {
        await new Promise(resolve => setTimeout(resolve, RETRY_MS))
        continue
      }
      try {
        for (; block < blocks; block++) await this.#read(connection.disk, block)
      } catch (error) {
        this.#noteError(error)
      } finally {
        connection.disk.close()
      }
    }
  }

  #acknowledged(): void {
    const now = performance.now()
    this.#longestStallMs = Math.max(this.#longestStallMs, now - this.#lastAckMs)
    this.#lastAckMs = now
  }

  #noteError(error: unknown): void {
    const message = (error as Error).message
    this.#errors[message] = (this.#errors[message] ?? 0) + 1
  }
}

/** An operation without an answer for so long has an unknown outcome, as for a host that gives up. */
async function within<T>(operation: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), OPERATION_MS_MAX)
  })
  try {
    return await Promise.race([operation, late])
  } finally {
    clearTimeout(timer)
  }
}
