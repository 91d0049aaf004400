import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type { ReplicaStore } from '../../../src/replication/replica-store.ts'
import type { SimProcess } from '../world/sim-process.ts'
import type { Tally } from '../world/tally.ts'
import type { SimDisk } from './sim-disk.ts'
import { SimVolume } from './sim-volume.ts'
import { VolumeImage } from './volume-image.ts'

/** The checker's eyes: told what every brick does, at the moment that it does it. */
export interface BrickWitness {
  applied(brick: SimBrick, volume: string, block: number, data: Buffer): void
  descriptorPersisted(brick: SimBrick, volume: string, epoch: number, setVersion: number): void
}

/** How long what waits for a disk takes, in virtual milliseconds. */
const DISK_MS_MIN = 0.05
const DISK_MS_MAX = 0.8
const FSYNC_MS_MIN = 0.5
const FSYNC_MS_MAX = 6
const STOP_POLL_MS = 1

/** A brick as one process has it open. */
export class SimBrick implements ReplicaStore {
  readonly disk: SimDisk
  readonly process: SimProcess
  readonly tally: Tally
  readonly witness: BrickWitness
  state: 'warm' | 'cold'
  failure: Error | null = null
  readonly #open = new Map<string, SimVolume>()
  /** bootMs at which each wait for the disk began. */
  readonly #waits = new Set<{ readonly sinceMs: number }>()

  constructor(disk: SimDisk, process: SimProcess, tally: Tally, witness: BrickWitness) {
    this.disk = disk
    this.process = process
    this.tally = tally
    this.witness = witness
    const unclean = !disk.cleanlyClosed
    const rebooted = disk.trustedBootId !== process.machine.bootId
    if (rebooted && !unclean) tally.add('opened in no doubt after a reboot')
    this.state = (rebooted && unclean) || disk.failedOnce ? 'cold' : 'warm'
    if (disk.failedOnce) disk.doubtAll()
    else if (this.state === 'cold') disk.doubtStamps()
    disk.hasLostPower = false
    disk.cleanlyClosed = false
    for (const image of disk.images.values()) {
      const replayed = image.replayJournal()
      if (replayed > 0) tally.add('redo record replayed', replayed)
      this.#open.set(image.uuid, new SimVolume(this, image, this.state === 'cold', unclean))
    }
    this.settled()
  }

  get uuid(): string {
    return this.disk.uuid
  }

  nowMs(): number {
    return this.process.bootMs()
  }

  activeBeyondTarget(): number {
    return 0
  }

  get openCounter(): number {
    return this.disk.openCounter
  }

  async createVolume(volume: {
    uuid: string
    sizeBytes: number
    epoch: number
    setVersion: number
  }): Promise<SimVolume> {
    await this.durably()
    const present = this.#open.get(volume.uuid)
    if (present !== undefined) return present
    const { uuid, sizeBytes, epoch, setVersion } = volume
    const image = new VolumeImage(uuid, sizeBytes, { epoch, setVersion })
    this.disk.images.set(uuid, image)
    const opened = new SimVolume(this, image, false, false)
    this.#open.set(uuid, opened)
    this.witness.descriptorPersisted(this, uuid, epoch, setVersion)
    return opened
  }

  async growVolume(uuid: string, sizeBytes: number): Promise<void> {
    await this.durably()
    const image = this.disk.images.get(uuid)
    if (image === undefined) throw new HoldfastError('ERR_VOLUME_NOT_FOUND')
    image.grow(sizeBytes)
  }

  async deleteVolume(uuid: string): Promise<void> {
    await this.durably()
    this.disk.images.delete(uuid)
    this.#open.delete(uuid)
  }

  volume(uuid: string): SimVolume | null {
    return this.#open.get(uuid) ?? null
  }

  volumes(): readonly string[] {
    return [...this.#open.keys()]
  }

  /** A write or an fsync failed underneath. Sticky. */
  fail(what: string): void {
    this.failure ??= new HoldfastError('ERR_BLOCK_IO', `simulated: ${what}`)
    this.disk.failedOnce = true
  }

  /** Whether nothing is suspect any more: then the boot id is recorded, and the brick is warm. PROTOCOL rule 15. */
  settled(): void {
    for (const volume of this.#open.values()) if (volume.suspectSegments().length > 0) return
    if (this.failure !== null) return
    this.state = 'warm'
    this.disk.failedOnce = false
    this.disk.trustedBootId = this.process.machine.bootId
  }

  /** A durable commit of a small thing: descriptors, activity, slots. */
  async durably(): Promise<void> {
    await this.wait(this.process.random.between(FSYNC_MS_MIN, FSYNC_MS_MAX))
    if (this.failure !== null) throw this.failure
  }

  async wait(ms: number): Promise<void> {
    const begun = { sinceMs: this.process.bootMs() }
    this.#waits.add(begun)
    await new Promise<void>(resolve => this.process.post(ms + this.disk.trouble.slowMs, resolve))
    this.#waits.delete(begun)
  }

  /** Since when the disk owes an answer, in milliseconds. */
  get oldestIoMs(): number {
    const nowMs = this.process.bootMs()
    let oldestMs = 0
    for (const { sinceMs } of this.#waits) oldestMs = Math.max(oldestMs, nowMs - sinceMs)
    return oldestMs
  }

  diskMs(): number {
    return this.process.random.between(DISK_MS_MIN, DISK_MS_MAX)
  }

  fsyncMs(): number {
    return this.process.random.between(FSYNC_MS_MIN, FSYNC_MS_MAX)
  }

  /**
   * As the store stops: what had begun ends, everything is made durable, and that is said unless something is in doubt.
   * What is active stays so: only owners know what others have. PROTOCOL rule 11.
   */
  async stop(): Promise<void> {
    while (this.#waits.size > 0) await new Promise<void>(resolve => this.process.post(STOP_POLL_MS, resolve))
    if (this.failure !== null) return
    const volumes = [...this.#open.values()]
    const isInDoubt = volumes.some(volume => volume.isQuestionable)
    try {
      for (const volume of volumes) await volume.clearSegments([])
      await this.durably()
    } catch {
      return
    }
    this.disk.cleanlyClosed = !isInDoubt
    this.tally.add(isInDoubt ? 'stopped in doubt' : 'stopped cleanly')
  }

  /** The process is killed: what it was writing is there in part. */
  killed(): void {
    for (const volume of this.#open.values()) volume.killed()
  }
}
