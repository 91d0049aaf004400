import { BLOCK_BYTES, blockValue, fillBlock } from '../../test/nemesis/block-content.ts'
import { type Gateway, openNbd } from '../../test/nemesis/disk.ts'

// node --import tsx bench/faults/missed.ts SETTINGS: writes blocks and flushes, or reads them and compares.

export interface MissedSettings {
  readonly gateway: Gateway
  readonly volume: string
  readonly blocks: number
  readonly scattered: boolean
  /** What the blocks hold. */
  readonly round: number
  readonly verify: boolean
}

/** Of the volume, in blocks: a prime number, so that steps of any length reach each once. */
const PLACES = 16_381
const STEP = 4099
const AT_ONCE = 16

const settings = JSON.parse(process.argv[2] ?? '') as MissedSettings
const { gateway, volume, blocks, scattered, round, verify } = settings
let next = 0

async function work(disk: Awaited<ReturnType<typeof openNbd>>): Promise<void> {
  while (next < blocks) {
    const at = next++
    const block = scattered ? (at * STEP) % PLACES : at
    if (verify) {
      const value = blockValue(await disk.read(block), block)
      if (value !== round) throw new Error(`block ${block} holds ${value} instead of ${round}`)
    } else {
      const data = Buffer.alloc(BLOCK_BYTES)
      fillBlock(data, block, round)
      await disk.write(block, data)
    }
  }
}

const disks = await Promise.all(Array.from({ length: AT_ONCE }, () => openNbd(gateway, volume)))
await Promise.all(disks.map(work))
await disks[0]?.flush()
for (const disk of disks) disk.close()
process.exit(0)
