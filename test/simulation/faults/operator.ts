import { decodeValue, encodeValue, keys } from '../../../src/control/layout.ts'
import { recoveredHead } from '../../../src/control/volume-recovery.ts'
import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { World } from '../cluster/world.ts'

/** Between the recovery and the start of the daemons that had to be off for it. */
const START_AGAIN_MS = 1_000

/**
 * `holdfast volume recover`, by somebody who knows which bricks have lost the volume. False when no replica of some
 * range would be left. PROTOCOL rule 25.
 */
export function recoverVolume(world: World, volume: TestedVolume): boolean {
  const { etcd, judge, loop, peers, tally, trace } = world
  const key = keys.head(volume.name)
  const entry = etcd.read(key)!
  const head = decodeValue('volume', key, entry.value)
  const numberOf = (uuid: string) => peers.find(({ disk }) => disk.uuid === uuid)!.number
  const placement = judge.view(volume)!.placed.map(uuids => uuids.map(numberOf))
  const placed = new Set(placement.flat())
  const empty = peers.filter(({ disk, number }) => placed.has(number) && !disk.images.has(volume.uuid))
  const off = new Map(empty.map(({ disk, number }) => [disk.uuid, number]))
  const known = peers.flatMap(({ disk }) => disk.images.get(volume.uuid)?.descriptor ?? [])
  const highest = {
    epoch: Math.max(...known.map(({ epoch }) => epoch)),
    setVersion: Math.max(...known.map(({ setVersion }) => setVersion)),
  }
  try {
    const recovered = recoveredHead(volume.name, head, placement, off, { peerOf: numberOf }, highest)
    for (const peer of empty) peer.kill()
    const success = [{ do: 'put', key, value: encodeValue('volume', recovered) } as const]
    const compare = [{ key, target: 'modRevision', is: '=', value: entry.modRevision } as const]
    judge.recovers(volume, () => etcd.transact({ compare, success }))
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'ERR_REPLICAS_UNAVAILABLE') return false
    throw error
  }
  tally.add('volume recovered by an operator')
  trace.say(
    'operator',
    `recovers ${volume.name} without ${empty.map(({ machine }) => machine.name).join(' ')}`,
  )
  loop.after(START_AGAIN_MS, () => {
    for (const peer of empty) peer.start()
  })
  return true
}
