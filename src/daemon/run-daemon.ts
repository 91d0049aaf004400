import type { Terminal } from '../cli/terminal.ts'
import { formatHostPort, parseHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import type { Portal } from '../control/ports.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { crc32cImplementation } from '../lib/crc32c.ts'
import { createLog } from '../lib/log.ts'
import { trimHeap } from '../lib/system-calls.ts'
import { readVersion } from '../lib/version.ts'
import { bannerText } from './banner.ts'
import { Daemon } from './daemon.ts'
import { dialledAddress } from './dialled-address.ts'
import { releaseYoungHeap } from './young-heap.ts'

/** A terminal, npm and a script may each pass on the same Ctrl-C. */
const SAME_WISH_MS = 500
/** What start-up leaves behind is collected within this. */
const SETTLING_MS = 2_000
const DEFAULT_API_URL = 'http://127.0.0.1:9280'

/**
 * Runs a daemon until SIGINT or SIGTERM; resolves when it has stopped cleanly. A second signal rejects at once,
 * with what was not flushed left to the next start.
 */
export async function runDaemon(
  config: Config,
  terminal: Terminal,
  options: { readonly demo: boolean; readonly json: boolean; readonly peers: number | null },
): Promise<void> {
  const log = createLog(config.log)
  const version = readVersion()
  const signals = new StopSignals(terminal)
  try {
    const daemon = await Promise.race([
      Daemon.start({ config, log, version, demo: options.demo, peers: options.peers }),
      // Nothing is served yet, and a start may be left at any point.
      signals.first.then(signal => refuse(`stopped by ${signal} before it was up`)),
    ])
    setTimeout(settle, SETTLING_MS).unref()
    await announce(daemon, config, terminal, version, options.json).catch(err =>
      log.warn({ err }, 'what is served could not be printed'),
    )
    log.info(
      {
        version,
        data: config.data,
        api: daemon.apiUrl,
        portals: daemon.portals,
        nbd: daemon.nbdPortals,
        checksumsBy: crc32cImplementation,
      },
      'serving',
    )
    log.info({ signal: await signals.first }, 'stopping')
    await Promise.race([
      daemon.stop(),
      signals.second.then(signal => refuse(`stopped at once by a second ${signal}`)),
    ])
    log.info({}, 'stopped')
  } finally {
    signals.ignore()
  }
}

function settle(): void {
  releaseYoungHeap()
  trimHeap()
}

function refuse(message: string): never {
  throw new HoldfastError('ERR_INTERNAL', message)
}

class StopSignals {
  readonly first: Promise<string>
  readonly second: Promise<string>
  readonly ignore: () => void

  constructor(terminal: Terminal) {
    let firstCame: (signal: string) => void
    let secondCame: (signal: string) => void
    this.first = new Promise(resolve => {
      firstCame = resolve
    })
    this.second = new Promise(resolve => {
      secondCame = resolve
    })
    let firstAtMs: number | null = null
    this.ignore = terminal.onStopSignal(signal => {
      const nowMs = performance.now()
      firstAtMs ??= nowMs
      firstCame(signal)
      if (nowMs - firstAtMs > SAME_WISH_MS) secondCame(signal)
    })
  }
}

async function announce(
  daemon: Daemon,
  config: Config,
  terminal: Terminal,
  version: string,
  asJson: boolean,
): Promise<void> {
  const volumes = await daemon.volumes()
  const portals = daemon.portals.map(dialled)
  const nbd = daemon.nbdPortals.map(portal => (portal.unix ? portal.address : dialled(portal)))
  const served = { version, data: config.data, portals, nbd, apiUrl: daemon.apiUrl, volumes }
  const guarded = await daemon.guardedTargets()
  const text = asJson
    ? `${JSON.stringify(served)}\n`
    : bannerText({ ...served, defaultApiUrl: DEFAULT_API_URL, guarded })
  terminal.stdout.write(text)
}

/** A portal as a host dials it. */
function dialled({ address, advertised }: Portal): string {
  const own = parseHostPort(address)
  return advertised ?? (own === null ? address : formatHostPort(dialledAddress(own)))
}
