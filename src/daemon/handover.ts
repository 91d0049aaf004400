import type { Catalogue } from '../control/catalogue.ts'
import type { ClusterPortals } from '../control/cluster-portals.ts'
import type { Log } from '../lib/log.ts'
import type { Replication } from '../replication/replication.ts'

/** What initiators are given to log out; those who stay are served. */
const LOGOUT_SECONDS = 5

export interface HandoverOptions {
  readonly catalogue: Catalogue
  readonly portals: ClusterPortals
  readonly replication: Pick<Replication, 'owned' | 'release' | 'stepBack'>
  /** Asks the initiators here to log in anew, which turns them to another portal. */
  readonly suggestLogout: (withinSeconds: number) => void
  readonly log: Log
}

/**
 * What a peer that is being drained does besides giving its ranges away: volumes get another owner as soon as one
 * of their other members is up, initiators are asked to come again and are then sent to another portal.
 */
export class Handover implements Disposable {
  readonly #options: HandoverOptions
  readonly #stopListening: () => void
  /** Volumes with the members that were up when they were let go of: once for each set of them. */
  readonly #released = new Set<string>()
  #releasing: Promise<void> = Promise.resolve()
  #stepsBack = false
  #clientsTold = false

  constructor(options: HandoverOptions) {
    this.#options = options
    this.#stopListening = options.catalogue.onChange(() => this.#look())
    this.#look()
  }

  [Symbol.dispose](): void {
    this.#stopListening()
  }

  #look(): void {
    const { portals, replication, suggestLogout, log } = this.#options
    const { isDraining, sendsAway } = portals
    if (isDraining !== this.#stepsBack) {
      this.#stepsBack = isDraining
      this.#released.clear()
      replication.stepBack(isDraining)
    }
    if (sendsAway && !this.#clientsTold) {
      log.info({}, 'this peer is drained: initiators are asked to log in elsewhere')
      suggestLogout(LOGOUT_SECONDS)
    }
    this.#clientsTold = sendsAway
    if (isDraining) this.#releaseOwned()
  }

  #releaseOwned(): void {
    const { catalogue, replication, log } = this.#options
    for (const name of catalogue.model.volumeNames) {
      const heirs = this.#heirsOf(name)
      const key = `${name} ${heirs.join()}`
      if (heirs.length === 0 || replication.owned(name) === null || this.#released.has(key)) continue
      this.#released.add(key)
      this.#releasing = this.#releasing
        .then(() => replication.release(name))
        .catch(err => log.warn({ volume: name, err }, 'a volume could not be handed over'))
    }
  }

  /** Peers that hold the volume, are up and stay. */
  #heirsOf(name: string): number[] {
    const { catalogue, portals } = this.#options
    const { model } = catalogue
    const placed = new Set(model.placement(name).flat())
    return model.peers.flatMap(({ id, value }) => {
      const { number, draining } = value
      const isUp = model.registration(id) !== null
      return placed.has(number) && isUp && draining !== true && number !== portals.peerNumber ? [number] : []
    })
  }
}
