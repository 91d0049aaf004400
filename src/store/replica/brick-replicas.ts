import type { Brick } from '../brick.ts'
import type { BrickParts } from '../brick-parts.ts'
import type { ReplicaStore, ReplicaVolume } from '../replica-store.ts'
import type { StoredReplica } from './stored-replica.ts'

/** A brick, as replication asks for its volumes. */
export class BrickReplicas implements ReplicaStore {
  badBlockFound: (volumeUuid: string, offsetBytes: number) => void = () => undefined
  readonly nowMs: () => number
  readonly activeBeyondTarget: () => number
  readonly #brick: Brick
  readonly #find: (uuid: string) => StoredReplica | null

  /** `find` answers null where there is no descriptor. */
  constructor(brick: Brick, { clock, activity }: BrickParts, find: (uuid: string) => StoredReplica | null) {
    this.#brick = brick
    this.nowMs = clock
    this.activeBeyondTarget = () => activity.beyondTarget
    this.#find = find
  }

  get uuid(): string {
    return this.#brick.uuid
  }

  get openCounter(): number {
    return this.#brick.openCounter
  }

  get state(): 'warm' | 'cold' {
    return this.#brick.state
  }

  get failure(): Error | null {
    return this.#brick.failure
  }

  async createVolume(volume: {
    uuid: string
    sizeBytes: number
    epoch: number
    setVersion: number
  }): Promise<ReplicaVolume> {
    await this.#brick.createVolume(volume)
    const created = this.#find(volume.uuid)
    if (created === null) throw new Error(`volume ${volume.uuid} was deleted while it was made`)
    return created
  }

  growVolume(uuid: string, sizeBytes: number): Promise<void> {
    return this.#brick.growVolume(uuid, sizeBytes)
  }

  deleteVolume(uuid: string): Promise<void> {
    return this.#brick.deleteVolume(uuid)
  }

  volume(uuid: string): ReplicaVolume | null {
    return this.#find(uuid)
  }

  volumes(): readonly string[] {
    return this.#brick.volumes()
  }
}
