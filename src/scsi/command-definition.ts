import type { CommandPhase } from './scsi-target.ts'
import type { Task } from './task.ts'

/**
 * One command of the device server: its CDB layout, its checks and what it does. The table that finds it
 * (command-table.ts) also answers REPORT SUPPORTED OPERATION CODES.
 */
export interface CommandDefinition {
  readonly name: string
  readonly operationCode: number
  /** The low five bits of byte 1, for operation codes that several commands share. */
  readonly serviceAction?: number
  /**
   * CDB usage data (SPC-5 §6.37.3), one byte per CDB byte, without operation code and service action: the bits
   * that are evaluated. Any other bit that is set is refused with INVALID FIELD IN CDB.
   */
  readonly usage: readonly number[]
  /** Bits of byte 1 that are neither evaluated nor refused. */
  readonly obsoleteBits?: number
  /** Under a persistent reservation of somebody else: allowed to 'all', or as a read or a write would be. */
  readonly reservation: 'all' | 'read' | 'write'
  /**
   * For what is allowed to 'all': carried out for the 'holder' alone while the unit is reserved by RESERVE (6),
   * or for 'none'. SPC-2 table 9, SPC-5 §5.14.3.
   */
  readonly unitReservation?: 'holder' | 'none'
  /** Carried out while the medium of a removable unit is ejected, too. */
  readonly withoutMedium?: boolean
  /**
   * While the volume is being sanitized: 'always' is carried out, also when one has failed; 'failed' only then.
   * SBC-4 §4.11.2.
   */
  readonly duringSanitize?: 'always' | 'failed'
  /** Changes the medium: refused while the unit is write protected. */
  readonly writes?: boolean
  /** Neither reports pending unit attentions nor is held up by them. SAM-5 §5.14.1. */
  readonly ignoresAttentions?: boolean
  /** RECOMMENDED COMMAND TIMEOUT, in seconds. */
  readonly timeoutSeconds: number
  /** Which counter of IoStats it adds to. */
  readonly counts: 'read' | 'write' | 'other'
  /**
   * Checks what can be checked without data and sets `task.command.dataOutLength`. Answers 'ready', 'needsData',
   * or what one of the task's fail* methods answers.
   */
  begin(task: Task): CommandPhase
  /** Does it. Ends in task.good(), a fail* method, task.stream() or an operation with a continuation. */
  execute(task: Task): void
}

/** What commands have in common that write the medium. */
export const WRITES_MEDIUM = { reservation: 'write', writes: true, counts: 'write' } as const
