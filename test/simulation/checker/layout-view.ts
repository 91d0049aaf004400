import {
  decodeValue,
  keys,
  type OutBrick,
  type PlacementPage,
  RANGE_BYTES,
  RANGES_PER_PAGE,
  type VolumeHead,
} from '../../../src/control/layout.ts'
import type { SimEtcd } from '../etcd/sim-etcd.ts'

/** Whether a brick that left is still in sync in a range: hex of bytes, range 0 in the lowest bit of the first. */
function isInSync(out: OutBrick, range: number): boolean {
  const byte = Buffer.from(out.inSync, 'hex')[range >> 3] ?? 0
  return ((byte >> (range & 7)) & 1) === 1
}

export interface LayoutView {
  readonly name: string
  readonly head: VolumeHead
  /** Per range the bricks that are placed there, and S(r) of them. */
  readonly placed: readonly (readonly string[])[]
  readonly members: readonly (readonly string[])[]
}

/** What etcd says of a volume at this moment, seen from above. */
export function viewOf(etcd: SimEtcd, name: string, brickOf: (peer: number) => string): LayoutView | null {
  const entry = etcd.read(keys.head(name))
  if (entry === null) return null
  const head = decodeValue('volume', entry.key, entry.value)
  const ranges = Math.ceil(head.sizeBytes / RANGE_BYTES)
  const placed: string[][] = []
  for (let range = 0; range < ranges; range++) {
    const key = keys.page(name, Math.floor(range / RANGES_PER_PAGE))
    const page = etcd.read(key)
    const decoded: PlacementPage = page === null ? { ranges: [] } : decodeValue('placement', key, page.value)
    placed.push((decoded.ranges[range % RANGES_PER_PAGE] ?? []).map(brickOf))
  }
  const members = placed.map((bricks, range) =>
    bricks.filter(uuid => !head.out.some(out => out.uuid === uuid && !isInSync(out, range))),
  )
  return { name, head, placed, members }
}
