import {
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  STAMP_UNKNOWN,
  type VolumeImage,
} from '../brick/volume-image.ts'
import { Violation } from '../world/violation.ts'
import type { Judged, JudgedPeer, TestedVolume } from './judge.ts'
import type { LayoutView } from './layout-view.ts'

/** Which blocks may differ between members, and between them and bricks that are out. */
export class MemberComparison {
  readonly #world: Judged
  readonly #isServed: (name: string, epoch: number) => boolean

  constructor(world: Judged, isServed: (name: string, epoch: number) => boolean) {
    this.#world = world
    this.#isServed = isServed
  }

  /** I8. */
  compareMembers(volume: TestedVolume, block: number, members: readonly string[]): void {
    const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
    const images = members.map(uuid => this.#image(uuid, volume)).filter(image => image !== undefined)
    if (images.some(image => image.active.has(segment))) return
    const copies = images.map(image => image.verified(block)).filter(copy => copy !== null)
    if (copies.every(copy => copy === copies[0] || copy.equals(copies[0]!))) return
    throw new Violation(
      'I8',
      `members of ${volume.name} differ in block ${block}, in a segment active nowhere`,
    )
  }

  /** I10. */
  compareOut(
    volume: TestedVolume,
    view: LayoutView,
    block: number,
    uuid: string,
    members: readonly string[],
  ): void {
    const own = this.#image(uuid, volume)
    const since = view.head.out.find(out => out.uuid === uuid)?.since
    const { wasEmptied } = this.#world.peers.find(peer => peer.disk.uuid === uuid)!.disk
    if (own === undefined || since === undefined || wasEmptied) return
    const region = Math.floor(block / BLOCKS_PER_REGION)
    const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
    const survivors = members.map(member => this.#image(member, volume)).filter(image => image !== undefined)
    const isStamped = (image: VolumeImage) =>
      image.stamp(region) >= since || image.stamp(region) === STAMP_UNKNOWN
    if (isStamped(own) || own.active.has(segment) || survivors.some(isStamped)) return
    const willBeUnknown = ({ disk }: JudgedPeer) =>
      disk.hasLostPower && disk.images.get(volume.uuid)?.active.has(segment) === true
    if (this.#world.peers.some(peer => members.includes(peer.disk.uuid) && willBeUnknown(peer))) return
    // Until every survivor has heard of the removal, its active segments are still to be stamped.
    const { epoch, setVersion } = view.head
    const isTold = this.#isServed(volume.name, epoch)
    if (!isTold || survivors.some(image => image.descriptor.setVersion < setVersion)) {
      if (survivors.some(image => image.active.has(segment))) return
    }
    const mine = own.verified(block)
    for (const survivor of survivors) {
      const theirs = survivor.verified(block)
      if (mine === null || theirs === null || mine === theirs || mine.equals(theirs)) continue
      throw new Violation(
        'I10',
        `${uuid.slice(0, 8)} is out of ${volume.name} since ${since} and differs in block ${block}, which a ` +
          'return would not copy',
      )
    }
  }

  #image(uuid: string, volume: TestedVolume): VolumeImage | undefined {
    return this.#world.peers.find(peer => peer.disk.uuid === uuid)?.disk.images.get(volume.uuid)
  }
}
