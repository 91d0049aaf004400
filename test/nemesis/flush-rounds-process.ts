import { statSync } from 'node:fs'
import { BLOCK_BYTES, fillBlock } from './block-content.ts'
import { type Gateway, openIscsi, openNbd } from './disk.ts'

// node --import tsx test/nemesis/flush-rounds-process.ts SETTINGS: writes and flushes, and tells for each flush how
// long the recorders' logs were when the write had been answered and when the flush had: one line of JSON.

export interface FlushRounds {
  readonly protocol: 'nbd' | 'iscsi'
  readonly gateway: Gateway
  readonly volume: string
  readonly rounds: number
  /** Written are the blocks from here on. */
  readonly firstBlock: number
  readonly logs: readonly string[]
}

/** Sizes of the logs, in their order. */
export interface FlushRound {
  readonly written: readonly number[]
  readonly flushed: readonly number[]
}

const settings = JSON.parse(process.argv[2] ?? '') as FlushRounds
const { protocol, gateway, volume, rounds, firstBlock, logs } = settings
const sizes = () => logs.map(log => statSync(log).size)

const disk = await (protocol === 'nbd'
  ? openNbd(gateway, volume)
  : openIscsi(gateway, volume, 'iqn.2026-11.test:flushes'))
const done: FlushRound[] = []
for (let round = 0; round < rounds; round++) {
  const data = Buffer.alloc(BLOCK_BYTES)
  fillBlock(data, firstBlock + round, round + 1)
  await disk.write(firstBlock + round, data)
  const written = sizes()
  await disk.flush()
  done.push({ written, flushed: sizes() })
}
disk.close()
process.stdout.write(`${JSON.stringify(done)}\n`)
process.exit(0)
