import { chmod, lstat, readFile, stat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { formatHostPort, type HostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import type { NbdPortal } from '../control/ports.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Log } from '../lib/log.ts'
import { systemReason } from '../lib/system-error.ts'
import type { ListenerTls } from '../nbd/connection.ts'
import type { ExportDirectory } from '../nbd/export-directory.ts'
import { NbdServer } from '../nbd/nbd-server.ts'
import { parsePskFile } from '../nbd/tls/psk-file.ts'
import { listening } from './listen.ts'
import { loadAuthority, loadKeyPair } from './tls-files.ts'

/** Who may write to a socket may connect to it: the daemon's user and its group. */
const SOCKET_MODE = 0o660

/** The NBD server as configured, not listening yet. */
export function createNbdServer(config: Config, exports: ExportDirectory, log: Log): NbdServer {
  const { limits } = config
  return new NbdServer({
    exports,
    logger: log.child({ area: 'nbd' }),
    limits: {
      connectionsMax: limits.connections,
      handshakeTimeoutMs: limits.loginTime,
      stopGraceMs: limits.stopGrace,
      bytesInFlightMax: limits.bytesInFlight,
    },
  })
}

/** Opens the listeners in their order, the Unix socket last. Rejects with ERR_LISTEN or ERR_CONFIG_INVALID. */
export async function openNbdListeners(server: NbdServer, config: Config): Promise<void> {
  const { listen, unix } = config.nbd
  const tls = await loadNbdTls(config)
  for (const address of listen) {
    const at = formatHostPort(address)
    await listening('NBD', at, () => server.listen(address.host, address.port, tls))
  }
  if (unix !== null) await listening('NBD', unix, () => listenUnix(server, unix, tls))
}

async function listenUnix(server: NbdServer, path: string, tls: ListenerTls): Promise<void> {
  // Of a directory that is not there bind(2) is told as EACCES.
  await stat(dirname(path))
  await removeDeadSocket(path)
  await server.listenUnix(path, tls)
  await chmod(path, SOCKET_MODE)
}

/** The listeners that are up, with what they advertise. */
export function nbdPortalsOf(server: NbdServer | null, config: Config): NbdPortal[] {
  const { tls, listen } = config.nbd
  return (server?.addresses ?? []).map((address, listener) => {
    const instead: HostPort | undefined = config.advertiseNbd[listener]
    const advertised = instead === undefined ? null : formatHostPort(instead)
    return { listener, address, advertised, unix: listener >= listen.length, tls }
  })
}

async function loadNbdTls({ nbd, tlsDir }: Config): Promise<ListenerTls> {
  if (nbd.tls === 'off') return { mode: 'off', material: null }
  const x509 =
    tlsDir === null
      ? null
      : { ...(await loadKeyPair('tlsDir', tlsDir)), ca: await loadAuthority('tlsDir', tlsDir) }
  const psk = nbd.pskFile === null ? null : parsePskFile(await readPskFile(nbd.pskFile), nbd.pskFile)
  return { mode: nbd.tls, material: { x509, psk } }
}

async function readPskFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const reason = systemReason(error)
    throw new HoldfastError('ERR_CONFIG_INVALID', `${file} of nbd.pskFile cannot be read: ${reason}`, {
      cause: error,
    })
  }
}

/**
 * A daemon that was killed leaves its socket's file behind: nobody answers there, and nobody else can listen. Of any
 * other file connect(2) says the same, and that is not ours to remove.
 */
async function removeDeadSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (found === null) return
  if (!found.isSocket()) throw new Error('a file that is no socket has this name: choose another one')
  if ((await connectionFailure(path)) === 'ECONNREFUSED') await unlink(path)
}

/** The code of the error, undefined where somebody answers. */
function connectionFailure(path: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
}
