import { RANGE_BYTES } from '../../../src/control/layout.ts'
import { BLOCK_BYTES, type VolumeImage } from '../brick/volume-image.ts'
import { Violation } from '../world/violation.ts'
import { SECTOR_BYTES, sectorValueQuick } from './content.ts'
import { givenUpInVain } from './given-up.ts'
import type { History } from './history.ts'
import type { Judged, TestedVolume } from './judge.ts'
import type { LayoutView } from './layout-view.ts'

const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES

/** What must hold of a volume at each revision of etcd, and from each one to the next. */
export class RevisionJudge {
  readonly #world: Judged
  readonly #history: History

  constructor(world: Judged, history: History) {
    this.#world = world
    this.#history = history
  }

  check(volume: TestedVolume, before: LayoutView | undefined, after: LayoutView): void {
    this.#checkSizes(after)
    if (before === undefined) return
    this.#checkPlaced(before, after)
    this.#checkStep(volume, before, after)
  }

  /** Rule 21: who leaves a range leaves it to somebody who joins, unless R has fallen. */
  #checkPlaced(before: LayoutView, { name, head, placed }: LayoutView): void {
    for (const [range, bricks] of before.placed.entries()) {
      const left = placed[range]?.length ?? 0
      if (left >= bricks.length || left >= head.replicas) continue
      const message = `${name} range ${range} was on ${bricks.length} bricks and is on ${left}, with R = ${head.replicas}`
      this.#world.broken(new Violation('I3', message))
    }
  }

  /** I3. */
  #checkSizes({ name, head, members }: LayoutView): void {
    for (const [range, set] of members.entries()) {
      if (set.length < head.minReplicas)
        this.#world.broken(
          new Violation(
            'I3',
            `${name} range ${range} has ${set.length} members, fewer than ${head.minReplicas}`,
          ),
        )
    }
  }

  #checkStep(volume: TestedVolume, before: LayoutView, after: LayoutView): void {
    const [was, is] = [before.head, after.head]
    const fell = (['epoch', 'setVersion', 'generation', 'lossGeneration'] as const).find(
      key => is[key] < was[key],
    )
    if (fell !== undefined)
      this.#world.broken(
        new Violation('I1', `${fell} of ${volume.name} fell from ${was[fell]} to ${is[fell]}`),
      )
    if (is.epoch > was.epoch + 1)
      this.#world.broken(new Violation('I1', `the epoch of ${volume.name} jumped to ${is.epoch}`))
    const inVain =
      is.lossGeneration > was.lossGeneration ? givenUpInVain(this.#world.peers, volume, after) : null
    if (inVain !== null) this.#world.broken(inVain)
    for (const [range, members] of after.members.entries()) {
      for (const uuid of members) {
        if (before.members[range]?.includes(uuid) === false) this.#checkJoiner(volume, range, uuid)
      }
    }
  }

  /** I6: what was flushed before a brick became a member is on its platter too. */
  #checkJoiner(volume: TestedVolume, range: number, uuid: string): void {
    const flushedMs = this.#history.newestFlushMs(volume.index)
    const sectorsPerRange = RANGE_BYTES / SECTOR_BYTES
    for (const sector of this.#history.writtenSectors(volume.index)) {
      if (Math.floor(sector / sectorsPerRange) !== range) continue
      const data = this.#image(uuid, volume)?.verifiedOnDisk(Math.floor(sector / SECTORS_PER_BLOCK))
      if (data === null || data === undefined) continue
      const value = sectorValueQuick(data, (sector % SECTORS_PER_BLOCK) * SECTOR_BYTES)
      if (this.#history.valuesSince(volume.index, sector, flushedMs).has(value)) continue
      return this.#world.broken(
        new Violation(
          'I6',
          `${uuid.slice(0, 8)} joined range ${range} of ${volume.name}, on its platter sector ${sector} holds ${value}`,
        ),
      )
    }
  }

  #image(uuid: string, volume: TestedVolume): VolumeImage | undefined {
    return this.#world.peers.find(peer => peer.disk.uuid === uuid)?.disk.images.get(volume.uuid)
  }
}
