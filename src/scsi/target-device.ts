import { invariant } from '../lib/invariant.ts'
import { PassTimer } from '../lib/pass-timer.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { Volume } from '../volume/volume.ts'
import { ItlNexus } from './itl-nexus.ts'
import { LUN_MAX, TOLD_PORTS_MAX } from './limits.ts'
import { LogicalUnit } from './logical-unit.ts'
import type { Nexus } from './nexus.ts'
import { type ScsiCommand, ScsiStatus } from './scsi-command.ts'
import {
  CommandPhase,
  type ScsiTarget,
  type TaskManagementFunction,
  type TaskManagementResponse,
} from './scsi-target.ts'
import { encodeSense, type SenseCode } from './sense.ts'
import type { DeviceIdentity } from './standard-inquiry.ts'
import { onlyLocalGroup, type TargetPortGroups } from './target-port-groups.ts'
import { Task, TaskState } from './task.ts'
import { manageTasks } from './task-management.ts'
import { Attention } from './unit-attention.ts'
import { answerVacant } from './vacant-unit.ts'

export interface UnitAssignment {
  readonly volume: Volume
  readonly readOnly: boolean
}

export interface TargetDeviceOptions {
  /** The target's iSCSI name. */
  readonly name: string
  readonly identity: DeviceIdentity
  /** `scsi.reportNexusLoss`: SAM's unit attention for every new nexus, which stock Linux turns into errors. */
  readonly reportNexusLoss?: boolean
  /**
   * Until then, by `clock`, the first session of each initiator port hears POWER ON, RESET OR BUS DEVICE RESET
   * OCCURRED: the daemon was restarted, and with it went mode pages and RESERVE (6).
   */
  readonly restartToldUntilMs?: number
  /** Through which gateways the volumes can be reached; without it, through this one. */
  readonly portGroups?: TargetPortGroups
  /** What an initiator can reach through other targets of this gateway, for EXTENDED COPY. */
  readonly copyPartners?: (nexus: Nexus) => Iterable<ItlNexus>
  /** Monotonic milliseconds, for latencies. */
  readonly clock?: () => number
}

interface AttachedNexus {
  readonly nexus: Nexus
  readonly client: ClientIdentity
  readonly links: Map<number, ItlNexus>
}

/** A SCSI target device: LUNs that are volumes, and the nexuses that reach them. SAM-5 §4.5.4. */
export class TargetDevice implements ScsiTarget {
  readonly name: string
  readonly identity: DeviceIdentity
  readonly portGroups: TargetPortGroups
  readonly timer: PassTimer
  /** The logical units that an initiator may name in an EXTENDED COPY, as it reaches them. */
  readonly copyPartners: (nexus: Nexus) => Iterable<ItlNexus>
  readonly #reportNexusLoss: boolean
  readonly #restartToldUntilMs: number
  readonly #clock: () => number
  /** Initiator ports that have heard of the restart. */
  readonly #toldPorts = new Set<string>()
  readonly #units = new Map<number, LogicalUnit>()
  readonly #nexuses = new Map<number, AttachedNexus>()

  constructor(options: TargetDeviceOptions) {
    this.name = options.name
    this.identity = options.identity
    this.portGroups = options.portGroups ?? onlyLocalGroup
    this.copyPartners = options.copyPartners ?? (nexus => this.linksOf(nexus))
    this.#reportNexusLoss = options.reportNexusLoss ?? false
    this.#restartToldUntilMs = options.restartToldUntilMs ?? 0
    this.#clock = options.clock ?? (() => performance.now())
    this.timer = new PassTimer(this.#clock)
  }

  get luns(): readonly number[] {
    return [...this.#units.keys()].sort((a, b) => a - b)
  }

  unit(lun: number): LogicalUnit | undefined {
    return this.#units.get(lun)
  }

  get units(): Iterable<LogicalUnit> {
    return this.#units.values()
  }

  /**
   * Makes these the logical units. A LUN whose volume stays keeps its commands and mode pages; others are
   * taken away with their commands aborted. Every nexus is told: REPORTED LUNS DATA HAS CHANGED. Resolves
   * when nothing of a removed unit runs any more.
   */
  async setUnits(assignments: ReadonlyMap<number, UnitAssignment>): Promise<void> {
    const removals: Promise<void>[] = []
    let hasChanged = false
    for (const [lun, unit] of this.#units) {
      const wanted = assignments.get(lun)
      if (wanted?.volume === unit.volume) {
        unit.isReadOnlyLun = wanted.readOnly
        continue
      }
      hasChanged = true
      removals.push(this.#remove(unit))
    }
    for (const [lun, { volume, readOnly }] of assignments) {
      invariant(Number.isInteger(lun) && lun >= 0 && lun <= LUN_MAX, 'a LUN fits flat space addressing')
      if (this.#units.has(lun)) continue
      hasChanged = true
      const unit = new LogicalUnit(this, lun, volume, readOnly)
      this.#units.set(lun, unit)
      for (const attached of this.#nexuses.values()) this.#connect(attached, unit)
    }
    if (hasChanged) {
      for (const unit of this.#units.values()) unit.establish(Attention.reportedLunsDataHasChanged)
    }
    await Promise.all(removals)
  }

  attach(nexus: Nexus): void {
    const { initiatorName, isid, targetPortalGroupTag } = nexus
    const client: ClientIdentity = { protocol: 'iscsi', initiatorName, isid, targetPortalGroupTag }
    const attached: AttachedNexus = { nexus, client, links: new Map() }
    this.#nexuses.set(nexus.id, attached)
    const isToldOfRestart = this.#isToldOfRestart(nexus)
    for (const unit of this.#units.values()) {
      const link = this.#connect(attached, unit)
      if (this.#reportNexusLoss || isToldOfRestart) link.establish(Attention.powerOn)
    }
  }

  detach(nexus: Nexus, done: () => void): void {
    const attached = this.#nexuses.get(nexus.id)
    if (attached === undefined) return done()
    this.#nexuses.delete(nexus.id)
    const links = [...attached.links.values()]
    Promise.all(links.map(link => this.#disconnect(link, nexus))).then(done, done)
  }

  begin(command: ScsiCommand): CommandPhase {
    const task = taskOf(command)
    command.status = ScsiStatus.good
    command.senseLength = 0
    command.dataIn = null
    command.dataInSource = null
    command.dataInLength = 0
    command.dataOutLength = 0
    command.aborted = false
    const attached = this.#nexuses.get(command.nexus.id)
    invariant(attached !== undefined, 'a command comes through an attached nexus')
    const link = attached.links.get(command.lun)
    if (link === undefined) {
      answerVacant(command, this)
      return CommandPhase.answered
    }
    return link.unit.begin(task, link)
  }

  execute(command: ScsiCommand): void {
    const task = taskOf(command)
    // Task management may have ended it while its data was under way.
    if (task.state === TaskState.entered) task.link.unit.tasks.run(task)
  }

  encodeSense(command: ScsiCommand, code: SenseCode): number {
    const isDescriptor = this.#units.get(command.lun)?.modes.descriptorSense ?? false
    return encodeSense(command.sense, isDescriptor, code)
  }

  manageTasks(
    fn: TaskManagementFunction,
    nexus: Nexus,
    lun: number,
    command: ScsiCommand | null,
    done: (response: TaskManagementResponse) => void,
  ): void {
    const link = this.#nexuses.get(nexus.id)?.links.get(lun)
    manageTasks(this, fn, nexus, link, command === null ? null : taskOf(command), done)
  }

  /**
   * Every logical unit as each session of this initiator reaches it. A name is no secret: where another session had
   * to prove more than this one did, it may be somebody else's.
   */
  *linksOf({ initiatorName, proof }: Nexus): Generator<ItlNexus> {
    for (const { nexus, links } of this.#nexuses.values()) {
      const isTheirs = nexus.initiatorName === initiatorName
      if (isTheirs && (nexus.proof === null || nexus.proof === proof)) yield* links.values()
    }
  }

  /** Clears a unit attention of this nexus at every logical unit. */
  clearAttention(nexus: Nexus, attention: Attention): void {
    for (const link of this.#nexuses.get(nexus.id)?.links.values() ?? []) link.attentions.clear(attention)
  }

  #isToldOfRestart({ initiatorName, isid }: Nexus): boolean {
    if (this.#clock() >= this.#restartToldUntilMs || this.#toldPorts.size >= TOLD_PORTS_MAX) return false
    const port = `${initiatorName},${isid}`
    if (this.#toldPorts.has(port)) return false
    this.#toldPorts.add(port)
    return true
  }

  #connect(attached: AttachedNexus, unit: LogicalUnit): ItlNexus {
    const link = new ItlNexus(attached.nexus, unit, attached.client)
    attached.links.set(unit.lun, link)
    unit.link(link)
    return link
  }

  /** `by`: the nexus, where it is its own end; null where the unit is taken from it. */
  async #disconnect(link: ItlNexus, by: Nexus | null): Promise<void> {
    await new Promise<void>(resolve => link.unit.abortTasks(task => task.link === link, resolve, by))
    link.unit.unlink(link)
    await link.close()
  }

  async #remove(unit: LogicalUnit): Promise<void> {
    this.#units.delete(unit.lun)
    for (const attached of this.#nexuses.values()) attached.links.delete(unit.lun)
    unit.close()
    await Promise.all([...unit.links].map(link => this.#disconnect(link, null)))
  }
}

function taskOf(command: ScsiCommand): Task {
  if (command.task === null) command.task = new Task(command)
  return command.task as Task
}
