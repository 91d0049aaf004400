import type { EpochOpening } from './epoch-opening.ts'
import { readPlacement } from './head-keeper.ts'
import type { Ownership } from './ownership.ts'
import { rangesOf } from './sets.ts'

/** Between two attempts, while a member or the metadata does not answer. */
const RETRY_MS = 200

/** An owned volume becomes larger: first all members make room, then the new ranges are served, then it is told. */
export class Growth {
  readonly #ownership: Ownership
  readonly #opening: EpochOpening
  #sizeBytes: number
  #running = false

  constructor(ownership: Ownership, opening: EpochOpening) {
    this.#ownership = ownership
    this.#opening = opening
    this.#sizeBytes = ownership.head.sizeBytes
  }

  /** For which every member has room. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** To be called when the head may be another. */
  look(): void {
    if (this.#running || !this.#isDue) return
    this.#running = true
    void this.#run()
  }

  get #isDue(): boolean {
    const { ended, head } = this.#ownership
    return !ended && head.sizeBytes > this.#sizeBytes
  }

  async #run(): Promise<void> {
    const { timers } = this.#ownership.node
    while (this.#isDue) {
      try {
        await this.#attempt()
      } catch {
        // A member that does not answer may be about to leave.
      }
      if (this.#isDue) await new Promise<void>(resolve => timers.after(RETRY_MS, resolve))
    }
    this.#running = false
  }

  async #attempt(): Promise<void> {
    const ownership = this.#ownership
    const { node, name, sets } = ownership
    const { sizeBytes } = ownership.head
    const placement = await readPlacement(node.metadata, name, sizeBytes)
    const asked = sets.everybody
    await Promise.all(asked.map(member => ownership.port(member).order({ what: 'growVolume', sizeBytes })))
    await ownership.serially(async () => {
      const isNew = (peer: number) => !asked.some(({ peerNumber }) => peerNumber === peer)
      if (placement.length < rangesOf(sizeBytes) || sets.current.flat().some(isNew)) return
      const before = sets.placement
      sets.replaced([...before, ...placement.slice(before.length)])
      this.#sizeBytes = sizeBytes
      this.#opening.grown(before.length)
      if (ownership.served) node.server.changed(ownership)
    })
  }
}
