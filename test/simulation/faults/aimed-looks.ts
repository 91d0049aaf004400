import { candidateRank } from '../../../src/replication/owner/rank.ts'
import { BLOCK_BYTES, Entry } from '../brick/volume-image.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { AimedFault } from './aimed.ts'
import { atNextWrite, restart, type Target } from './moments.ts'

const WRITTEN_MS = 20
const RECONCILED_MS = 8_000

/** Faults that aim at clients who ask what is mapped. */
export const LOOK_FAULTS = {
  /** The next owner has lost what was written first just before, and is slowly made like the others while clients ask. */
  holesAtTakeover: (aim, target) => {
    const { random, later, world } = aim
    const { owner, others, volume } = target
    if (others.length < 2) return
    const heir = heirOf(target)
    const image = heir.disk.images.get(volume.uuid)
    const strike = () => {
      aim.struck(`${volume.name} to ${heir.machine.name}`)
      const clients = world.clients.filter(client => client.volume === volume)
      for (const client of clients) client.onlyReads(true)
      world.loop.after(RECONCILED_MS, () => {
        for (const client of clients) client.onlyReads(false)
      })
      later(WRITTEN_MS, () => {
        restart(aim, owner, RECONCILED_MS)
        heir.losePower()
        later(random.between(50, 500), () => heir.powerOn())
        for (const { disk } of others) disk.trouble.slowMs = random.between(20, 100)
        later(RECONCILED_MS, () => {
          for (const { disk } of others) disk.trouble.slowMs = 0
        })
      })
    }
    atNextWrite(aim, target, heir, strike, ({ offsetBytes, lengthBytes }) => {
      const first = Math.floor(offsetBytes / BLOCK_BYTES)
      const count = Math.ceil(lengthBytes / BLOCK_BYTES)
      return (
        image !== undefined &&
        Array.from({ length: count }, (_, i) => image.entry(first + i)).some(
          entry => entry < Entry.firstPresent,
        )
      )
    })
  },
} satisfies Record<string, AimedFault>

export type LookFaultKind = keyof typeof LOOK_FAULTS
export const LOOK_FAULT_KINDS = Object.keys(LOOK_FAULTS) as LookFaultKind[]

/** Who is first to try when the owner is gone. */
function heirOf({ others, volume }: Target): SimPeer {
  const numbers = others.map(({ number }) => number)
  return others.find(({ number }) => candidateRank(volume.uuid, numbers, number) === 0)!
}
