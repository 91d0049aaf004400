import { IoStats } from '../lib/io-stats.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { RegistrantName } from '../volume/reservations/reservation-state.ts'
import type { ReservationNotice } from '../volume/reservations/step-reservations.ts'
import type { Volume, VolumeChange } from '../volume/volume.ts'
import type { CommandDefinition } from './command-definition.ts'
import { findCommand, firstForeignByte, isOperationCodeKnown } from './command-table.ts'
import type { ItlNexus } from './itl-nexus.ts'
import { ModeState } from './mode-state.ts'
import type { Nexus } from './nexus.ts'
import { type SanitizeRefusal, sanitizeRefusal } from './sanitize-refusal.ts'
import { type ScsiCommand, ScsiStatus, TaskAttribute } from './scsi-command.ts'
import type { CommandPhase } from './scsi-target.ts'
import { Sense } from './sense.ts'
import { defaultThreshold, isThresholdReached } from './space-threshold.ts'
import type { TargetDevice } from './target-device.ts'
import type { Task } from './task.ts'
import { TaskSet } from './task-set.ts'
import { Attention } from './unit-attention.ts'

const ATTENTION_OF: Readonly<Record<Exclude<VolumeChange, 'space'>, Attention>> = {
  resized: Attention.capacityDataHasChanged,
  writeProtection: Attention.modeParametersChanged,
  accessStates: Attention.asymmetricAccessStateChanged,
}

/** A volume under a LUN of one target: its device server, task set, mode pages and unit attentions. */
export class LogicalUnit {
  readonly target: TargetDevice
  readonly lun: number
  readonly volume: Volume
  readonly tasks = new TaskSet()
  readonly stats = new IoStats()
  readonly modes = new ModeState()
  /** EXTENDED COPY commands that this unit carries out now. */
  copiesRunning = 0
  /** Of a removable unit: whether its medium is in. In memory alone: a start of the daemon loads it. */
  #isMediumLoaded = true
  #isReadOnlyLun: boolean
  #isSpaceScarce = false
  readonly #links = new Set<ItlNexus>()
  readonly #stopListening: (() => void)[]

  constructor(target: TargetDevice, lun: number, volume: Volume, readOnly: boolean) {
    this.target = target
    this.lun = lun
    this.volume = volume
    this.#isReadOnlyLun = readOnly
    this.#stopListening = [
      volume.onChange(change => {
        if (change === 'space') this.checkSpace()
        else this.establish(ATTENTION_OF[change])
      }),
      volume.reservations.listen(this),
    ]
  }

  get links(): Iterable<ItlNexus> {
    return this.#links
  }

  get isReadOnlyLun(): boolean {
    return this.#isReadOnlyLun
  }

  set isReadOnlyLun(readOnly: boolean) {
    if (this.#isReadOnlyLun === readOnly) return
    this.#isReadOnlyLun = readOnly
    this.establish(Attention.modeParametersChanged)
  }

  /** Write protection that is not the initiators' own doing: it shows as WP, as SWP does. */
  get isReadOnly(): boolean {
    return this.#isReadOnlyLun || this.volume.readOnly
  }

  get isMediumLoaded(): boolean {
    return this.#isMediumLoaded
  }

  get isRemovalPrevented(): boolean {
    for (const link of this.#links) if (link.preventsRemoval) return true
    return false
  }

  eject(): void {
    this.#isMediumLoaded = false
  }

  /** The others learn that what they knew of the medium may be wrong; who loaded it knows. SPC-5 annex F. */
  load(by: ItlNexus): void {
    if (this.#isMediumLoaded) return
    this.#isMediumLoaded = true
    this.establish(Attention.mediumMayHaveChanged, by)
  }

  /** Tells every nexus when what is left has fallen to the threshold, once until it has risen again. SBC-4 §4.7.3.7. */
  checkSpace(): void {
    const { space } = this.volume
    const isReached = isThresholdReached(this.modes.spaceThreshold ?? defaultThreshold(space), space)
    if (isReached && !this.#isSpaceScarce) this.establish(Attention.thinProvisioningSoftThresholdReached)
    this.#isSpaceScarce = isReached
  }

  link(link: ItlNexus): void {
    this.#links.add(link)
  }

  unlink(link: ItlNexus): void {
    this.#links.delete(link)
    this.volume.reservations.releaseUnit(link.client)
  }

  close(): void {
    for (const stop of this.#stopListening) stop()
  }

  /** Establishes a unit attention for every nexus, or every one but the one that caused it. */
  establish(attention: Attention, except: ItlNexus | null = null): void {
    for (const link of this.#links) if (link !== except) link.establish(attention)
  }

  /** Enters the task set and checks everything that is common to all commands, in SAM-5's order. */
  begin(task: Task, link: ItlNexus): CommandPhase {
    const { command } = task
    const { cdb } = command
    const entry = findCommand(cdb)
    const definition = entry === null ? UNKNOWN_COMMAND : entry.definition
    task.link = link
    task.definition = definition
    task.startedAtMs = this.target.timer.begin()
    this.tasks.enter(task)
    this.stats.inFlight += 1
    if (command.attribute === TaskAttribute.aca) return task.fail(Sense.invalidMessageError)
    if (link.hasNews && definition.ignoresAttentions !== true) return this.#tellNews(task)
    if (entry === null) return this.#refuseUnknown(task)
    const foreign = firstForeignByte(entry, cdb)
    if (foreign >= 0) return task.failField(foreign)
    if (this.#isReservedFrom(link, definition)) return task.failStatus(ScsiStatus.reservationConflict)
    const sanitizing = sanitizeRefusal(this)
    if (sanitizing !== null && !isAllowed(definition, sanitizing)) {
      return task.fail(sanitizing.code, sanitizing.details)
    }
    if (!this.#isMediumLoaded && definition.withoutMedium !== true) return task.fail(Sense.mediumNotPresent)
    if (definition.writes === true) {
      if (this.isReadOnly) return task.fail(Sense.writeProtected)
      if (this.modes.softwareWriteProtect) return task.fail(Sense.logicalUnitSoftwareWriteProtected)
    }
    return definition.begin(task)
  }

  taskLeaves(task: Task, command: ScsiCommand): void {
    this.tasks.leave(task)
    const { stats } = this
    stats.inFlight -= 1
    const { status } = command
    const hasSucceeded = status === ScsiStatus.good || status === ScsiStatus.conditionMet
    if (!hasSucceeded || command.aborted) stats.errors += 1
    switch (task.definition.counts) {
      case 'read':
        stats.reads += 1
        stats.readBytes += command.dataInLength
        break
      case 'write':
        stats.writes += 1
        stats.writtenBytes += Math.min(command.dataOutReceived, task.lengthBytes)
        break
      default:
        stats.others += 1
    }
    this.target.timer.end(stats, task.startedAtMs)
  }

  reservationNotice(notice: ReservationNotice): void {
    for (const link of this.#links) {
      if (link.registrants.includes(notice.registrant)) link.establish(Attention[notice.kind])
    }
  }

  async abortTasksOf(registrants: readonly RegistrantName[]): Promise<void> {
    const isVictim = (link: ItlNexus) => link.registrants.some(name => registrants.includes(name))
    const tells = this.modes.taskAbortedStatus
    await new Promise<void>(resolve => this.abortTasks(task => isVictim(task.link), resolve, null))
    for (const link of this.#links) {
      if (!isVictim(link)) continue
      link.preventsRemoval = false
      if (!tells) link.establish(Attention.commandsClearedByAnotherInitiator)
    }
  }

  /** As after a reset: it has to reserve anew, and to look at what others have done meanwhile. SPC-2 §5.5.1. */
  unitReservationChanged(lostBy: ClientIdentity | null): void {
    for (const link of this.#links) if (link.client === lostBy) link.establish(Attention.busDeviceReset)
  }

  /**
   * Takes back every task that `matches`; `done` comes when the last one can have no effect any more. `by`: whose doing
   * it is (null: none of their initiators'); with TAS all others are answered TASK ABORTED. SPC-5 §7.5.9.
   */
  abortTasks(matches: (task: Task) => boolean, done: () => void, by: Nexus | null): void {
    const tells = this.modes.taskAbortedStatus
    const victims = this.tasks.find(matches)
    let left = victims.length
    if (left === 0) return done()
    const ended = { taskEnded: () => void (--left === 0 && done()) }
    for (const victim of victims) victim.abort(ended, tells && victim.link.nexus !== by)
  }

  /** Logical unit reset: SAM-5 §6.3.3. Of reservations, the persistent kind stays. */
  reset(attention: Attention, by: Nexus, done: () => void): void {
    const reset = () => {
      this.modes.reset()
      this.volume.reservations.endUnitReservation()
      for (const link of this.#links) link.preventsRemoval = false
      this.establish(attention)
      done()
    }
    this.abortTasks(() => true, reset, by)
  }

  #isReservedFrom({ client }: ItlNexus, { reservation, unitReservation }: CommandDefinition): boolean {
    const { reservations } = this.volume
    if (reservation !== 'all') return !reservations.permits(client, reservation)
    if (unitReservation === undefined) return false
    return unitReservation === 'none' ? reservations.isUnitReserved : reservations.isUnitReservedFrom(client)
  }

  #tellNews(task: Task): CommandPhase {
    const { link } = task
    const deferred = link.deferredError
    if (deferred !== null) {
      link.deferredError = null
      return task.fail(deferred, { deferred: true })
    }
    return task.fail(link.attentions.take()!)
  }

  #refuseUnknown(task: Task): CommandPhase {
    // A known operation code with an unknown service action is a bad field, not a bad command. SPC-5 §4.2.5.1.
    if (isOperationCodeKnown(task.command.cdb[0]!)) return task.failField(1, 4)
    return task.fail(Sense.invalidCommandOperationCode, { field: { inCdb: true, byte: 0 } })
  }
}

/** Whether a command is carried out although the unit is being sanitized, or a sanitize of it has failed. */
function isAllowed({ duringSanitize }: CommandDefinition, { hasFailed }: SanitizeRefusal): boolean {
  return duringSanitize === 'always' || (duringSanitize === 'failed' && hasFailed)
}

const UNKNOWN_COMMAND: CommandDefinition = {
  name: 'unknown',
  operationCode: -1,
  usage: [],
  reservation: 'all',
  timeoutSeconds: 0,
  counts: 'other',
  begin: task => task.fail(Sense.invalidCommandOperationCode),
  execute: task => task.good(),
}
