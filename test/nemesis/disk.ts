import { NbdCommand, NbdError } from '../../src/nbd/wire/constants.ts'
import { read16, write16 } from '../lib/initiator/cdb.ts'
import type { CommandRequest, CommandResult } from '../lib/initiator/command.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { BLOCK_BYTES } from './block-content.ts'

/** One connection to a volume, one operation at a time. Any rejection leaves the outcome unknown. */
export interface Disk {
  read(block: number): Promise<Buffer>
  write(block: number, data: Buffer): Promise<Written>
  flush(): Promise<void>
  close(): void
}

/** noSpace promises that nothing was applied. */
export type Written = 'done' | 'noSpace'

export interface Gateway {
  readonly host: string
  readonly nbdPort: number
  readonly iscsiPort: number
}

export async function openNbd(gateway: Gateway, volume: string): Promise<Disk> {
  const client = await NbdClient.open({ host: gateway.host, port: gateway.nbdPort }, 'structured', volume)
  const succeed = (error: number) => {
    if (error !== 0) throw new Error(`NBD error ${error}`)
  }
  return {
    read: block => client.readAt(block * BLOCK_BYTES, BLOCK_BYTES),
    async write(block, data) {
      const error = await client.writeAt(block * BLOCK_BYTES, data)
      if (error === NbdError.ENOSPC) return 'noSpace'
      succeed(error)
      return 'done'
    },
    flush: async () => succeed((await client.request({ command: NbdCommand.FLUSH })).error),
    close: () => client[Symbol.dispose](),
  }
}

/** One initiator name for all: a session through another gateway takes the writer's place (PROTOCOL rule 17). */
export async function openIscsi(gateway: Gateway, volume: string, initiator: string): Promise<Disk> {
  const session = await Initiator.connect(gateway.iscsiPort, gateway.host)
  const answer = await session.login({
    targetName: `iqn.2026-11.io.holdfast:${volume}`,
    initiatorName: initiator,
  })
  if (answer.status !== 0) {
    session.channel.close()
    throw new Error(`the login was refused with ${answer.status.toString(16)}`)
  }
  return {
    read: async block => {
      const lba = block * SECTORS
      return mustBeGood(await attended(session, { cdb: read16(lba, SECTORS), read: BLOCK_BYTES })).data
    },
    async write(block, data) {
      const result = await attended(session, { cdb: write16(block * SECTORS, SECTORS), write: data })
      if (senseOf(result) === NO_SPACE) return 'noSpace'
      mustBeGood(result)
      return 'done'
    },
    async flush() {
      const cdb = Buffer.alloc(10)
      cdb[0] = SYNCHRONIZE_CACHE_10
      mustBeGood(await attended(session, { cdb }))
    },
    close: () => session.channel.close(),
  }
}

const SYNCHRONIZE_CACHE_10 = 0x35
/** DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT. */
const NO_SPACE = '07/27/07'
/** Logical blocks of 512 bytes in one of ours. */
const SECTORS = BLOCK_BYTES / 512

/** More in a row than there are reasons for. */
const UNIT_ATTENTIONS_MAX = 8
const UNIT_ATTENTION = 6

/** A command that a unit attention ended was not begun: as every host does, it is sent again. */
async function attended(session: Initiator, request: CommandRequest): Promise<CommandResult> {
  for (let attention = 0; ; attention++) {
    const result = await session.command(request)
    if (result.senseCode?.[0] !== UNIT_ATTENTION || attention === UNIT_ATTENTIONS_MAX) return result
  }
}

function senseOf({ senseCode }: CommandResult): string {
  return senseCode?.map(part => part.toString(16).padStart(2, '0')).join('/') ?? 'none'
}

function mustBeGood(result: CommandResult): CommandResult {
  if (result.status === 0) return result
  throw new Error(`status ${result.status}, sense ${senseOf(result)}`)
}
