import type { Nexus } from './nexus.ts'
import type { ScsiCommand } from './scsi-command.ts'
import type { SenseCode } from './sense.ts'

export const CommandPhase = {
  /** execute() may be called at once, there is no data-out to wait for (or the command was answered already). */
  ready: 0,
  /** Deliver `command.dataOutLength` bytes (or fewer, if the initiator expects fewer), then execute(). */
  needsData: 1,
  /** commandDone was called: an error found before any data, for example ILLEGAL REQUEST. */
  answered: 2,
} as const
export type CommandPhase = (typeof CommandPhase)[keyof typeof CommandPhase]

/** Task management functions, SAM-5 §7; the transport keeps ABORT TASK's tag and hands over the command. */
export type TaskManagementFunction =
  | 'abortTask'
  | 'abortTaskSet'
  | 'clearAca'
  | 'clearTaskSet'
  | 'logicalUnitReset'
  | 'targetWarmReset'
  | 'targetColdReset'
export type TaskManagementResponse =
  | 'functionComplete'
  | 'taskDoesNotExist'
  | 'lunDoesNotExist'
  | 'functionNotSupported'

/** A SCSI target device: its logical units, as a transport drives them. */
export interface ScsiTarget {
  readonly name: string
  /** A nexus came to be or is gone. detach() aborts what it still has in flight, then calls `done`. */
  attach(nexus: Nexus): void
  detach(nexus: Nexus, done: () => void): void
  /** Decodes the CDB, checks what can be checked without data, enters the task set. */
  begin(command: ScsiCommand): CommandPhase
  execute(command: ScsiCommand): void
  /** Fills the command's sense data for what the transport has found, in its unit's format; answers their length. */
  encodeSense(command: ScsiCommand, code: SenseCode): number
  /**
   * `done` is called when the function has taken effect: no aborted command answers afterwards and none of
   * their writes reaches a brick. `command` only with abortTask (null: it was not found, nothing is done).
   */
  manageTasks(
    fn: TaskManagementFunction,
    nexus: Nexus,
    lun: number,
    command: ScsiCommand | null,
    done: (response: TaskManagementResponse) => void,
  ): void
}
