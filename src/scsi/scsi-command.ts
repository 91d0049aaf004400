import type { Nexus } from './nexus.ts'

/** SAM-5 §5.3.1. */
export const ScsiStatus = {
  good: 0x00,
  checkCondition: 0x02,
  conditionMet: 0x04,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
  acaActive: 0x30,
  taskAborted: 0x40,
} as const
export type ScsiStatus = (typeof ScsiStatus)[keyof typeof ScsiStatus]

/** RFC 7143 §11.3.1, the ATTR field. */
export const TaskAttribute = { untagged: 0, simple: 1, ordered: 2, headOfQueue: 3, aca: 4 } as const
export type TaskAttribute = (typeof TaskAttribute)[keyof typeof TaskAttribute]

export const CDB_BYTES_MAX = 260
export const SENSE_BYTES_MAX = 252

/** What device servers say to the transport of a command. Calls may come from inside execute() or later. */
export interface ScsiTransport {
  /** `status`, sense and data-in are final. Exactly once per begin(); with `command.aborted` nothing is sent. */
  commandDone(command: ScsiCommand): void
  /**
   * Makes data-out that is borrowed from a receive buffer the command's own: on return `command.dataOut`
   * stays valid until commandDone. Called by whoever cannot finish inside execute().
   */
  retainDataOut(command: ScsiCommand): void
  /** What the command does next, until commandDone, it does when a disk has made something durable. */
  awaitsDisk(command: ScsiCommand): void
}

/** Where data-in comes from when it is streamed out of a device and not built in memory. */
export interface DataInSource {
  /**
   * Puts data-in bytes [offset, offset + length) into `into` at `at`, now. Answers 'later' when that needs
   * waiting (then fetchDataIn), 'failed' when the command has turned into an error (status and sense are set)
   * or was taken back (`command.aborted`: nothing more is sent).
   */
  readDataIn(command: ScsiCommand, offset: number, length: number, into: Buffer, at: number): DataInResult
  /** Fills `into[at, at + command.dataInLength)`, then calls `done(command)`; failures are in command.status. */
  fetchDataIn(command: ScsiCommand, into: Buffer, at: number, done: DataInReceiver): void
  /** The transport is done with the command, whether or not it took all of its data. Not while it fetches. */
  dropDataIn(command: ScsiCommand): void
}

export const DataInResult = { ok: 0, later: 1, failed: 2 } as const
export type DataInResult = (typeof DataInResult)[keyof typeof DataInResult]

export interface DataInReceiver {
  dataInFetched(command: ScsiCommand): void
}

const NO_DATA = Buffer.alloc(0)

/**
 * A command and its answer: the seam between a transport (iSCSI) and SCSI. The transport preallocates one per
 * slot of its command window and uses it again. Life: the transport fills the request, calls begin(); when the
 * phase is `needsData` it collects `dataOutLength` bytes and calls execute(); in both cases commandDone follows.
 */
export class ScsiCommand {
  readonly transport: ScsiTransport

  // The request, set by the transport before begin().
  nexus!: Nexus
  /** Flat logical unit number, or -1 when the 8-byte LUN field has a form that addresses nothing here. */
  lun = 0
  readonly cdb: Buffer = Buffer.alloc(CDB_BYTES_MAX)
  cdbLength = 16
  attribute: TaskAttribute = TaskAttribute.simple
  /** Bytes that the initiator will send at most, and has room for at most (expected data transfer lengths). */
  expectedOutLength = 0
  expectedInLength = 0

  // Data-out.
  /** Set by begin(): the bytes that this CDB takes. The transport delivers min(this, expectedOutLength). */
  dataOutLength = 0
  /** Set by the transport before execute(). Borrowed, valid during execute() alone, until retainDataOut. */
  dataOut: Buffer = NO_DATA
  dataOutAt = 0
  /** Bytes really there. */
  dataOutReceived = 0

  // The answer, set by SCSI before commandDone.
  status: ScsiStatus = ScsiStatus.good
  readonly sense: Buffer = Buffer.alloc(SENSE_BYTES_MAX)
  senseLength = 0
  /**
   * Bytes of data-in that this command yields, before truncation to expectedInLength; the transport computes
   * residuals from this (and from dataOutLength for data-out).
   */
  dataInLength = 0
  /** Small data-in, built in memory; or null when dataInSource streams it. */
  dataIn: Buffer | null = null
  dataInSource: DataInSource | null = null
  /** Taken back by task management; no answer is sent. */
  aborted = false

  /** Scratch of the device server: its per-command state (preallocated there) and task-set links. */
  task: unknown = null
  next: ScsiCommand | null = null
  previous: ScsiCommand | null = null

  constructor(transport: ScsiTransport) {
    this.transport = transport
  }
}
