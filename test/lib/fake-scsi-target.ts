import type { Nexus } from '../../src/scsi/nexus.ts'
import {
  type DataInReceiver,
  DataInResult,
  type DataInSource,
  type ScsiCommand,
  ScsiStatus,
} from '../../src/scsi/scsi-command.ts'
import {
  CommandPhase,
  type ScsiTarget,
  type TaskManagementFunction,
  type TaskManagementResponse,
} from '../../src/scsi/scsi-target.ts'
import { encodeSense, type SenseCode } from '../../src/scsi/sense.ts'

const BLOCK_BYTES = 512
const ILLEGAL_REQUEST = 0x5

interface Running {
  readonly command: ScsiCommand
  /** Null while data-out is still being collected. */
  timer: NodeJS.Timeout | null
}

/**
 * A disk in memory behind the transport's seam, good enough for libiscsi's programs and qemu. Commands can be
 * delayed, data-in can be made to need fetching, and aborted writes never reach the memory.
 */
export class FakeScsiTarget implements ScsiTarget, DataInSource {
  readonly name: string
  readonly memory: Buffer
  /** Reads and writes take this long. */
  delayMs = 0
  /** readDataIn answers 'later'; fetchDataIn takes this long. -1: data is there at once. */
  fetchMs = -1
  /** readDataIn fails from this data-in offset on. */
  failAtOffset = Number.POSITIVE_INFINITY
  readonly attached: Nexus[] = []
  readonly detached: Nexus[] = []
  writes = 0
  /** Reads whose data the transport is done with. */
  dropped = 0
  readonly #running = new Set<Running>()

  constructor(name: string, sizeBytes: number) {
    this.name = name
    this.memory = Buffer.alloc(sizeBytes)
  }

  get running(): number {
    return this.#running.size
  }

  attach(nexus: Nexus): void {
    this.attached.push(nexus)
  }

  detach(nexus: Nexus, done: () => void): void {
    this.detached.push(nexus)
    this.#abort(command => command.nexus === nexus)
    done()
  }

  begin(command: ScsiCommand): CommandPhase {
    const { cdb } = command
    switch (cdb[0]) {
      case 0x0a:
      case 0x2a:
      case 0x8a:
        command.dataOutLength = blocks(cdb) * BLOCK_BYTES
        if (end(cdb) > this.memory.length) return this.#refuse(command, 0x21)
        this.#running.add({ command, timer: null })
        return CommandPhase.needsData
      case 0x08:
      case 0x28:
      case 0x88:
        if (end(cdb) > this.memory.length) return this.#refuse(command, 0x21)
        return CommandPhase.ready
      default:
        return CommandPhase.ready
    }
  }

  execute(command: ScsiCommand): void {
    const { cdb } = command
    switch (cdb[0]) {
      case 0x0a:
      case 0x2a:
      case 0x8a:
        this.#write(command)
        return
      case 0x08:
      case 0x28:
      case 0x88:
        command.dataInLength = blocks(cdb) * BLOCK_BYTES
        command.dataInSource = this
        if (this.delayMs === 0) command.transport.commandDone(command)
        else this.#later(command, () => command.transport.commandDone(command))
        return
      default:
        this.#answer(command, inMemory(cdb, this.memory.length / BLOCK_BYTES))
    }
  }

  encodeSense(command: ScsiCommand, code: SenseCode): number {
    return encodeSense(command.sense, false, code)
  }

  manageTasks(
    fn: TaskManagementFunction,
    nexus: Nexus,
    lun: number,
    command: ScsiCommand | null,
    done: (response: TaskManagementResponse) => void,
  ): void {
    if (lun !== 0) {
      done('lunDoesNotExist')
      return
    }
    const own = fn === 'abortTaskSet'
    this.#abort(other => (command === null ? !own || other.nexus === nexus : other === command))
    done(fn === 'clearAca' ? 'functionNotSupported' : 'functionComplete')
  }

  readDataIn(command: ScsiCommand, offset: number, length: number, into: Buffer, at: number): DataInResult {
    if (offset + length > this.failAtOffset) {
      setSense(command, 0x3, 0x11)
      return DataInResult.failed
    }
    if (this.fetchMs >= 0) return DataInResult.later
    const from = start(command.cdb) + offset
    this.memory.copy(into, at, from, from + length)
    return DataInResult.ok
  }

  fetchDataIn(command: ScsiCommand, into: Buffer, at: number, done: DataInReceiver): void {
    setTimeout(() => {
      const from = start(command.cdb)
      this.memory.copy(into, at, from, from + command.dataInLength)
      done.dataInFetched(command)
    }, this.fetchMs)
  }

  dropDataIn(): void {
    this.dropped++
  }

  #write(command: ScsiCommand): void {
    const collecting = this.#find(command)
    if (collecting !== undefined) this.#running.delete(collecting)
    if (this.delayMs === 0) {
      this.#apply(command)
      return
    }
    command.transport.retainDataOut(command)
    this.#later(command, () => this.#apply(command))
  }

  #apply(command: ScsiCommand): void {
    const { dataOut, dataOutAt, dataOutReceived } = command
    dataOut.copy(this.memory, start(command.cdb), dataOutAt, dataOutAt + dataOutReceived)
    this.writes++
    command.transport.commandDone(command)
  }

  #later(command: ScsiCommand, then: () => void): void {
    const running: Running = { command, timer: null }
    running.timer = setTimeout(() => {
      this.#running.delete(running)
      then()
    }, this.delayMs)
    this.#running.add(running)
  }

  #abort(isMeant: (command: ScsiCommand) => boolean): void {
    for (const running of this.#running) {
      if (!isMeant(running.command)) continue
      if (running.timer !== null) clearTimeout(running.timer)
      this.#running.delete(running)
      running.command.aborted = true
      running.command.transport.commandDone(running.command)
    }
  }

  #find(command: ScsiCommand): Running | undefined {
    for (const running of this.#running) if (running.command === command) return running
    return undefined
  }

  #answer(command: ScsiCommand, data: Buffer | null): void {
    if (data === null) {
      setSense(command, ILLEGAL_REQUEST, 0x20)
    } else {
      command.dataIn = data
      command.dataInLength = data.length
    }
    command.transport.commandDone(command)
  }

  #refuse(command: ScsiCommand, asc: number): CommandPhase {
    setSense(command, ILLEGAL_REQUEST, asc)
    command.transport.commandDone(command)
    return CommandPhase.answered
  }
}

function setSense(command: ScsiCommand, key: number, asc: number): void {
  command.status = ScsiStatus.checkCondition
  command.sense.fill(0, 0, 18)
  command.sense[0] = 0x70
  command.sense[2] = key
  command.sense[7] = 10
  command.sense[12] = asc
  command.senseLength = 18
}

function start(cdb: Buffer): number {
  if (cdb[0]! >= 0x80) return cdb.readUInt32BE(6) * BLOCK_BYTES
  return (cdb[0]! >= 0x20 ? cdb.readUInt32BE(2) : cdb.readUInt16BE(2)) * BLOCK_BYTES
}

function blocks(cdb: Buffer): number {
  if (cdb[0]! >= 0x80) return cdb.readUInt32BE(10)
  return cdb[0]! >= 0x20 ? cdb.readUInt16BE(7) : cdb[4] || 256
}

function end(cdb: Buffer): number {
  return start(cdb) + blocks(cdb) * BLOCK_BYTES
}

/** Answers of the commands that move no blocks; null for what this disk does not know. */
function inMemory(cdb: Buffer, sizeBlocks: number): Buffer | null {
  switch (cdb[0]) {
    case 0x00: // TEST UNIT READY
    case 0x35: // SYNCHRONIZE CACHE
    case 0x91:
      return Buffer.alloc(0)
    case 0x12:
      return inquiry(cdb).subarray(0, cdb.readUInt16BE(3))
    case 0x25: {
      const answer = Buffer.alloc(8)
      answer.writeUInt32BE(sizeBlocks - 1, 0)
      answer.writeUInt32BE(BLOCK_BYTES, 4)
      return answer
    }
    case 0x9e: {
      const answer = Buffer.alloc(32)
      answer.writeUInt32BE(sizeBlocks - 1, 4)
      answer.writeUInt32BE(BLOCK_BYTES, 8)
      return answer.subarray(0, cdb.readUInt32BE(10))
    }
    case 0x1a: // MODE SENSE (6): a header, no pages
      return Buffer.from([3, 0, 0, 0]).subarray(0, cdb[4])
    case 0xa0: {
      const answer = Buffer.alloc(16)
      answer.writeUInt32BE(8, 0)
      return answer.subarray(0, cdb.readUInt32BE(6))
    }
    default:
      return null
  }
}

function inquiry(cdb: Buffer): Buffer {
  if ((cdb[1]! & 1) === 0) {
    const standard = Buffer.alloc(96)
    standard.set([0, 0, 6, 2, 91, 0, 0, 2])
    standard.write('HOLDFASTFake in memory   0001', 8, 'latin1')
    return standard
  }
  if (cdb[2] === 0x00) return Buffer.from([0, 0, 0, 3, 0x00, 0x80, 0x83])
  if (cdb[2] === 0x80) return Buffer.from([0, 0x80, 0, 4, 0x46, 0x41, 0x4b, 0x45])
  return Buffer.from([0, 0x83, 0, 12, 1, 3, 0, 8, 0x30, 0, 0, 0, 0, 0, 0, 1])
}
