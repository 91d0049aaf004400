import { decodeValue, keys, RANGE_BYTES } from '../../../src/control/layout.ts'
import { REGION_BYTES } from '../brick/volume-image.ts'
import type { World } from '../cluster/world.ts'

const REGIONS_PER_RANGE = RANGE_BYTES / REGION_BYTES

/** What of the layout is not yet as operators want it; null when all of it is. */
export function layoutAtRest(world: World): string | null {
  const draining = new Set<number>()
  for (const { key, value } of world.etcd.list(keys.peers)) {
    const peer = decodeValue('peer', key, value)
    if (peer.draining === true) draining.add(peer.number)
  }
  for (const { daemon, number } of world.peers) {
    const moves = daemon?.control?.movesLeft ?? 0
    if (moves > 0) return `peer ${number} plans ${moves} more moves`
  }
  for (const volume of world.volumes) {
    const { name } = volume
    const view = world.judge.view(volume)
    if (view === undefined) return `${name} has no head`
    const { head, placed } = view
    if (head.minReplicasWanted !== undefined) return `${name}: M is still to rise`
    const removed = world.peers.filter(({ isOfCluster }) => !isOfCluster).map(({ disk }) => disk.uuid)
    for (const [range, bricks] of placed.entries()) {
      if (bricks.length !== head.replicas)
        return `${name}: range ${range} has ${bricks.length} replicas instead of ${head.replicas}`
      if (bricks.some(uuid => removed.includes(uuid)))
        return `${name}: range ${range} is still on a peer that was removed`
      for (const { number, disk, isOfCluster } of world.peers) {
        // Nobody tells it to free anything any more.
        if (!isOfCluster) continue
        const isPlaced = bricks.includes(disk.uuid)
        if (isPlaced && draining.has(number)) return `${name}: range ${range} is still on peer ${number}`
        const image = disk.images.get(volume.uuid)
        if (isPlaced || image === undefined) continue
        for (const region of image.allocated)
          if (Math.floor(region / REGIONS_PER_RANGE) === range)
            return `${name}: peer ${number} keeps what it had of range ${range}`
      }
    }
    const served = world.peers.flatMap(({ daemon }) => daemon?.servedBytes(name) ?? [])
    if (served.some(sizeBytes => sizeBytes !== head.sizeBytes))
      return `${name} is served with ${served} bytes instead of ${head.sizeBytes}`
  }
  return null
}
