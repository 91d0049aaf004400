import { NbdCommand } from '../../src/nbd/wire/constants.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { BLOCK_BYTES } from './block-content.ts'

/** One connection to a volume, one operation at a time. Any rejection leaves the outcome unknown. */
export interface Disk {
  read(block: number): Promise<Buffer>
  write(block: number, data: Buffer): Promise<void>
  flush(): Promise<void>
  close(): void
}

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
    write: async (block, data) => succeed(await client.writeAt(block * BLOCK_BYTES, data)),
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
    read: block => session.read(block * SECTORS, SECTORS),
    write: (block, data) => session.write(block * SECTORS, data),
    flush: () => synchronizeCache(session),
    close: () => session.channel.close(),
  }
}

const SYNCHRONIZE_CACHE_10 = 0x35
/** Logical blocks of 512 bytes in one of ours. */
const SECTORS = BLOCK_BYTES / 512

async function synchronizeCache(session: Initiator): Promise<void> {
  const cdb = Buffer.alloc(10)
  cdb[0] = SYNCHRONIZE_CACHE_10
  const { status } = await session.command({ cdb })
  if (status !== 0) throw new Error(`SYNCHRONIZE CACHE ended with ${status}`)
}
