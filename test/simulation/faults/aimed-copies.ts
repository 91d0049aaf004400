import { PeerRequestKind } from '../../../src/replication/peer-network.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import { AIMED_FAULTS, type AimedFault } from './aimed.ts'
import { atNextEpoch, atNextRequest, atNextWrite, restart } from './moments.ts'

const EJECTED_MS = 1_300
const WRITES_END_MS = 300
const CLEARED_MS = 500
const COPIED_MS = 5_000
const READ_ON_MS = 10_000
const RECONCILED_MS = 3_000

/** Faults that aim at what makes one brick like another, each by a random stream of its own. */
export const COPY_FAULTS = {
  /** A disk is emptied while its brick is out, and the copy that fills it breaks off: the next finds a volume there. */
  emptiedWhileCopied: (aim, { owner, others, volume }) => {
    const { random, later, world } = aim
    const victim = random.pick(others)
    if (!doWithout(world, victim)) return
    // What is active when it leaves, and what is written while it is out, would be copied in any case.
    const clients = world.clients.filter(client => client.volume === volume)
    for (const client of clients) client.onlyReads(true)
    later(WRITES_END_MS, () => void owner.daemon?.clearSegments(volume.name, 0).catch(() => undefined))
    later(CLEARED_MS, () => victim.kill())
    world.loop.after(COPIED_MS, () => {
      for (const client of clients) client.onlyReads(false)
    })
    later(CLEARED_MS + EJECTED_MS + random.between(100, 1_000), () => {
      const isIts = doWithout(world, victim)
      if (isIts) victim.disk.empty()
      victim.start()
      if (!isIts) return
      const strike = () => {
        aim.struck(`${victim.machine.name} of ${volume.name}`)
        later(random.between(0, 10), () => restart(aim, victim, random.between(30, 400)))
      }
      atNextRequest(
        aim,
        strike,
        (connection, request) =>
          request.kind === PeerRequestKind.copyIn &&
          request.volume === volume.uuid &&
          connection.target === victim.parts?.node,
      )
    })
  },
} satisfies Record<string, AimedFault>

/** The same where operators change R. */
export const SHRINK_FAULTS = {
  /** Everybody loses power in the middle of a write, and R falls while members are made alike. */
  shrunkInReconcile: (aim, target) => {
    const { random, later, world } = aim
    const { volume } = target
    atNextWrite(aim, target, random.pick(target.others), () => {
      atNextEpoch(aim, volume, () => {
        aim.struck(volume.name)
        world.shrink(volume)
        later(RECONCILED_MS, () => {
          for (const peer of world.peers) peer.disk.trouble.slowMs = 0
        })
      })
      later(random.between(0, 10), () => {
        for (const peer of world.peers) {
          peer.losePower()
          later(random.between(50, 800), () => {
            peer.powerOn()
            peer.disk.trouble.slowMs = random.between(20, 100)
          })
        }
      })
    })
  },
  /** R falls, and with it M, while an owner that is cut off reads on, and one of its members is out. */
  shrunkWhileReadOn: (aim, target) => {
    const { random, later, world } = aim
    const { others, volume } = target
    if (others.length < 2) return
    const out = random.pick(others)
    out.kill()
    later(EJECTED_MS, () => {
      AIMED_FAULTS.ownerReadsOn(aim, target)
      later(random.between(0, WRITES_END_MS), () => world.shrink(volume, 1))
    })
    later(READ_ON_MS, () => out.start())
  },
} satisfies Record<string, AimedFault>

export type CopyFaultKind = keyof typeof COPY_FAULTS | keyof typeof SHRINK_FAULTS
export const COPY_FAULT_KINDS = [
  ...Object.keys(COPY_FAULTS),
  ...Object.keys(SHRINK_FAULTS),
] as CopyFaultKind[]

/** Whether everybody else is well, and has everything that this one has. */
function doWithout({ judge, peers, volumes }: World, victim: SimPeer): boolean {
  if (!peers.every(peer => peer === victim || !peer.isOfCluster || peer.isReachable)) return false
  const { uuid } = victim.disk
  return volumes.every(volume => {
    const view = judge.view(volume)
    if (view === undefined || view.head.out.some(out => out.uuid !== uuid)) return false
    const { minReplicas } = view.head
    return view.members.every(set => set.filter(member => member !== uuid).length >= minReplicas)
  })
}
