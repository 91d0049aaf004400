import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import { Random } from '../world/random.ts'
import type { SimClient } from './sim-client.ts'

const AWAY_MS = [100, 6_000] as const
/** A client that gets no answer goes elsewhere soon, or when the gateway that it left is about to wake. */
const LEAVES_AFTER = [0, 1.2] as const

type Trouble = 'gatewayPaused' | 'gatewayCutOff' | 'gatewayLeft'

export const ROAMING_KINDS: readonly Trouble[] = ['gatewayPaused', 'gatewayCutOff', 'gatewayLeft']

/**
 * Clients that go from one gateway to another while the one that they leave stands still, is cut off or is well, and
 * still has their writes. PROTOCOL rule 17.
 */
export class Roaming {
  readonly #world: World
  readonly #random: Random
  #isOver = false

  constructor(world: World) {
    this.#world = world
    this.#random = new Random(world.seed, 'roaming')
  }

  /** Something happens to the gateway of one client, and the client goes elsewhere. */
  strike(): void {
    const { clients, tally, trace, loop } = this.#world
    const client = this.#random.pick(clients)
    const kind = this.#random.pick(ROAMING_KINDS)
    const awayMs = this.#random.between(...AWAY_MS)
    const leavesMs = awayMs * this.#random.between(...LEAVES_AFTER)
    const { gateway } = client
    if (this.#isOver || gateway === null || !gateway.isRunning) return
    tally.add(`fault ${kind}`)
    tally.add('faults')
    trace.say(
      'roaming',
      `${kind}: ${client.name} leaves ${gateway.process!.name} in ${leavesMs.toFixed(0)} ms`,
    )
    if (kind === 'gatewayPaused') this.#pause(gateway, awayMs)
    else if (kind === 'gatewayCutOff') this.#cutOff(gateway, awayMs)
    loop.after(leavesMs, () => this.#leave(client, gateway))
  }

  /** Everything is mended: nobody else has to go. */
  end(): void {
    this.#isOver = true
  }

  #pause({ process }: SimPeer, awayMs: number): void {
    process!.pause()
    this.#world.loop.after(awayMs, () => process!.resume())
  }

  /** From the other daemons, not from its clients. */
  #cutOff(gateway: SimPeer, awayMs: number): void {
    const { peers, network, loop } = this.#world
    const others = peers.filter(peer => peer !== gateway)
    for (const { number } of others) {
      network.block(gateway.number, number)
      network.block(number, gateway.number)
    }
    for (const node of network.nodes()) node.pathsChanged()
    loop.after(awayMs, () => network.heal())
  }

  #leave(client: SimClient, gateway: SimPeer): void {
    if (!this.#isOver && client.gateway === gateway) client.move(gateway)
  }
}
