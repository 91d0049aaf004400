import { appendFileSync } from 'node:fs'
import { BLOCK_BYTES, fillBlock } from '../../test/nemesis/block-content.ts'
import { type Disk, type Gateway, openIscsi, openNbd } from '../../test/nemesis/disk.ts'
import { seededRandom } from '../../test/nemesis/load.ts'

// node --import tsx bench/faults/writer.ts SETTINGS: one writer for each volume, one write at a time, repeated through
// the next gateway until it is acknowledged. Each that took long is a line of JSON in `stalls`.

export interface WriterSettings {
  readonly protocol: 'nbd' | 'iscsi'
  /** Tried in this order, the next when a connection ends or is refused. */
  readonly gateways: readonly Gateway[]
  readonly volumes: readonly string[]
  readonly blocks: number
  /** Between two writes of one volume. */
  readonly pauseMs: number
  readonly stalls: string
}

/** Times in ms since the epoch, from when a write was wanted to its acknowledgement; null: none until the end. */
export interface Stall {
  readonly volume: string
  readonly fromMs: number
  readonly toMs: number | null
}

const STALL_MS_MIN = 100
const RETRY_MS = 20

const settings = JSON.parse(process.argv[2] ?? '') as WriterSettings
const sleep = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
let writes = 0
let stopping = false
let failure = ''
/** By volume: since when its write is wanted. */
const wanted = new Map<string, number>()

async function connect(volume: string, attempt: number): Promise<Disk | null> {
  const gateway = settings.gateways[attempt % settings.gateways.length] as Gateway
  try {
    if (settings.protocol === 'nbd') return await openNbd(gateway, volume)
    return await openIscsi(gateway, volume, `iqn.2026-11.test:${volume}`)
  } catch (error) {
    failure = (error as Error).message
    await sleep(RETRY_MS)
    return null
  }
}

async function write(volume: string, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const data = Buffer.alloc(BLOCK_BYTES)
  let disk: Disk | null = null
  for (let attempt = 0; !stopping; ) {
    const block = Math.floor(random() * settings.blocks)
    fillBlock(data, block, 1)
    const fromMs = Date.now()
    wanted.set(volume, fromMs)
    for (let acknowledged = false; !acknowledged && !stopping; ) {
      disk ??= await connect(volume, attempt)
      try {
        if (disk === null) attempt++
        else acknowledged = (await disk.write(block, data)) === 'done'
      } catch (error) {
        failure = (error as Error).message
        disk?.close()
        disk = null
      }
    }
    if (stopping) break
    writes++
    wanted.delete(volume)
    tellStall(volume, fromMs, Date.now())
    if (settings.pauseMs > 0) await sleep(settings.pauseMs)
  }
  disk?.close()
}

function tellStall(volume: string, fromMs: number, toMs: number | null): void {
  if ((toMs ?? Date.now()) - fromMs < STALL_MS_MIN) return
  appendFileSync(settings.stalls, `${JSON.stringify({ volume, fromMs, toMs } satisfies Stall)}\n`)
}

process.on('SIGTERM', () => {
  stopping = true
  for (const [volume, fromMs] of wanted) tellStall(volume, fromMs, null)
})
const ready = settings.volumes.map((volume, at) => write(volume, at + 1))
await Promise.all(ready)
process.stdout.write(`${writes} writes, last failure: ${failure}\n`)
process.exit(0)
