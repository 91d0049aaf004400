import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Catalogue } from './catalogue.ts'
import type { Log, ServedLun, ServedTarget, ServedVolume, TargetFactory, VolumeHost } from './ports.ts'
import { Reconciler } from './reconciler.ts'
import type { VolumeRecord } from './records.ts'
import { recordOf } from './volume-rules.ts'

interface HeldVolume {
  readonly uuid: string
  state: 'opening' | 'open' | 'closing'
  volume: ServedVolume | null
}

interface HeldTarget {
  readonly device: ServedTarget
  luns: ReadonlyMap<number, ServedLun>
}

export interface ServingOptions {
  readonly catalogue: Catalogue
  readonly host: VolumeHost
  readonly targetFactory: TargetFactory
  readonly log: Log
}

const NO_LUNS: ReadonlyMap<number, ServedLun> = new Map()

/** Makes what is served here what the catalogue says: volumes open, targets with the right LUNs. */
export class Serving implements AsyncDisposable {
  readonly #catalogue: Catalogue
  readonly #host: VolumeHost
  readonly #makeTarget: TargetFactory
  readonly #volumes = new Map<string, HeldVolume>()
  readonly #targets = new Map<string, HeldTarget>()
  readonly #withheld = new Set<string>()
  readonly #volumeWork: Reconciler
  readonly #targetWork: Reconciler
  readonly #stopListening: () => void

  /** Starts at once; settled() tells when what the catalogue holds now is served. */
  constructor({ catalogue, host, targetFactory, log }: ServingOptions) {
    this.#catalogue = catalogue
    this.#host = host
    this.#makeTarget = targetFactory
    this.#volumeWork = new Reconciler(
      name => this.#reconcileVolume(name),
      (volume, err) => log.error({ volume, err }, 'a volume cannot be served yet'),
    )
    this.#targetWork = new Reconciler(
      iqn => this.#reconcileTarget(iqn),
      (target, err) => log.error({ target, err }, 'a target cannot be served yet'),
    )
    this.#stopListening = catalogue.onChange(change => this.#poke(change.volumes, change.targets))
    this.#poke(catalogue.model.volumeNames, catalogue.model.targetNames)
  }

  /** The volume of this name if it is open, has an owner, and is not being closed or withheld. */
  volume(name: string): ServedVolume | null {
    const held = this.#volumes.get(name)
    if (held?.state !== 'open' || this.#withheld.has(name)) return null
    return held.volume?.isServing === false ? null : held.volume
  }

  /** The open volumes, by name. */
  volumes(): ServedVolume[] {
    return [...this.#volumes.keys()].sort().flatMap(name => this.volume(name) ?? [])
  }

  /** The device of a target of the catalogue if each of its LUNs can be used now. */
  target(iqn: string): ServedTarget | null {
    const held = this.#targets.get(iqn)
    const value = this.#catalogue.model.target(iqn)
    if (held === undefined || value === null) return null
    const ready = value.luns.every(
      ({ lun, volume }) => held.luns.get(lun)?.volume === this.volume(volume) && this.volume(volume) !== null,
    )
    return ready ? held.device : null
  }

  /** Keeps new sessions away from a volume while somebody checks that nobody uses it; the answer ends that. */
  withhold(name: string): () => void {
    this.#withheld.add(name)
    return () => this.#withheld.delete(name)
  }

  /** Resolves when everything has been tried that the catalogue asks for now. */
  async settled(): Promise<void> {
    await this.#volumeWork.idle()
    await this.#targetWork.idle()
  }

  /** As ServedVolume.usersElsewhere; nobody when the volume is not open here. */
  async usersElsewhere(name: string): Promise<readonly string[]> {
    return (await this.#volumes.get(name)?.volume?.usersElsewhere?.()) ?? []
  }

  /** As ServedVolume.fence; a volume that is not open here is refused with ERR_BLOCK_UNAVAILABLE. */
  async fence(name: string, initiator: string, rightsVersion: number): Promise<void> {
    const volume = this.#volumes.get(name)?.volume ?? null
    if (volume === null) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', `volume '${name}' is not open here`)
    await volume.fence?.(initiator, rightsVersion)
  }

  /** Resolves when nothing of the volume is open here, given that the catalogue no longer wants it to be. */
  async released(name: string): Promise<void> {
    await this.#volumeWork.poke(name)
    if (this.#volumes.has(name)) {
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', `volume '${name}' could not be closed`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    await this.#volumeWork.stop()
    await this.#targetWork.stop()
    await Promise.all([...this.#targets.values()].map(({ device }) => device.setUnits(NO_LUNS)))
    this.#targets.clear()
    await Promise.all([...this.#volumes.values()].map(({ volume }) => volume?.close()))
    this.#volumes.clear()
  }

  #poke(volumes: Iterable<string>, targets: Iterable<string>): void {
    // Failures are logged and tried again by the reconcilers; these promises never reject.
    for (const name of volumes) void this.#volumeWork.poke(name)
    for (const iqn of targets) void this.#targetWork.poke(iqn)
  }

  async #reconcileVolume(name: string): Promise<void> {
    const head = this.#catalogue.model.volume(name)
    const wanted = head?.state === 'ready' ? recordOf(name, head) : null
    const held = this.#volumes.get(name)
    if (held !== undefined && held.uuid !== wanted?.uuid) await this.#release(name, held)
    if (wanted === null) return
    const open = this.#volumes.get(name)?.volume ?? null
    if (open === null) await this.#open(wanted)
    else await this.#follow(open, wanted)
  }

  async #open(record: VolumeRecord): Promise<void> {
    const held: HeldVolume = { uuid: record.uuid, state: 'opening', volume: null }
    this.#volumes.set(record.name, held)
    try {
      // A crash may have come between a resize in the metadata and that of the bricks.
      await this.#host.growVolume(record)
      held.volume = await this.#host.openVolume(record)
    } catch (error) {
      this.#volumes.delete(record.name)
      throw error
    }
    held.state = 'open'
    await this.#refreshTargets(record.name)
    await this.#follow(held.volume, record)
  }

  async #follow(volume: ServedVolume, wanted: VolumeRecord): Promise<void> {
    if (wanted.sizeBytes > volume.sizeBytes) await this.#host.growVolume(wanted)
    volume.apply(wanted)
  }

  async #release(name: string, held: HeldVolume): Promise<void> {
    held.state = 'closing'
    await this.#refreshTargets(name)
    await held.volume?.close()
    this.#volumes.delete(name)
  }

  /** Every target that has the volume as a LUN, in the catalogue or still in its device. */
  async #refreshTargets(volume: string): Promise<void> {
    const wanting = this.#catalogue.model.targetsOf(volume)
    const having = [...this.#targets].filter(([, held]) =>
      [...held.luns.values()].some(lun => lun.volume.name === volume),
    )
    const iqns = new Set([...wanting, ...having.map(([iqn]) => iqn)])
    await Promise.all([...iqns].map(iqn => this.#targetWork.poke(iqn)))
  }

  async #reconcileTarget(iqn: string): Promise<void> {
    const value = this.#catalogue.model.target(iqn)
    let held = this.#targets.get(iqn)
    if (value === null) {
      await held?.device.setUnits(NO_LUNS)
      this.#targets.delete(iqn)
      return
    }
    if (held === undefined) {
      held = { device: this.#makeTarget(iqn), luns: NO_LUNS }
      this.#targets.set(iqn, held)
    }
    const luns = new Map<number, ServedLun>()
    for (const { lun, volume, readOnly } of value.luns) {
      const open = this.#volumes.get(volume)
      if (open?.state === 'open' && open.volume !== null) luns.set(lun, { volume: open.volume, readOnly })
    }
    // Kept before it takes effect: a volume that is being closed must find the targets that may have it.
    held.luns = new Map([...held.luns, ...luns])
    await held.device.setUnits(luns)
    held.luns = luns
  }
}
