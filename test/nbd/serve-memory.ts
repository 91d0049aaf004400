import type { ExportDirectory, ExportLookup, NbdClient, NbdExport } from '../../src/nbd/export-directory.ts'
import { NbdServer, type NbdServerOptions } from '../../src/nbd/nbd-server.ts'
import { MemoryVolume, type MemoryVolumeOptions } from '../lib/memory-volume.ts'

export interface MemoryExport extends NbdExport {
  readonly volume: MemoryVolume
  /** Who may open it; without, everybody. */
  readonly clients?: readonly string[]
}

/** Exports of volumes in memory, for tests of what stands in front of them. */
export class MemoryExports implements ExportDirectory {
  readonly exports: MemoryExport[] = []
  unavailable = false
  readonly #listeners = new Set<(names: ReadonlySet<string> | null) => void>()

  add(options: MemoryVolumeOptions & { readonly clients?: readonly string[] } = {}): MemoryVolume {
    const { clients, ...rest } = options
    const volume = new MemoryVolume({ name: 'disk', ...rest })
    const entry = {
      name: volume.name,
      description: `about ${volume.name}`,
      volume,
      readOnly: false,
      resize: null,
    }
    this.exports.push(clients === undefined ? entry : { ...entry, clients })
    return volume
  }

  list(client: NbdClient): readonly NbdExport[] {
    return this.exports.filter(entry => mayOpen(entry, client))
  }

  onChange(listener: (names: ReadonlySet<string> | null) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Lets clients change the size; `refusal` is what they get instead. */
  makeResizable(name: string, refusal: () => Error | null = () => null): void {
    const at = this.exports.findIndex(entry => entry.name === name)
    const entry = this.exports[at]!
    const resize = async (sizeBytes: number) => {
      const error = refusal()
      if (error !== null) throw error
      entry.volume.resize(sizeBytes)
    }
    this.exports[at] = { ...entry, resize }
  }

  /** From now on only these may open `name`. */
  restrict(name: string, clients: readonly string[]): void {
    const at = this.exports.findIndex(entry => entry.name === name)
    this.exports[at] = { ...this.exports[at]!, clients }
    for (const listener of this.#listeners) listener(null)
  }

  find(name: string, client: NbdClient): ExportLookup {
    if (this.unavailable) return { found: 'unavailable' }
    const wanted = name === '' ? this.exports[0]?.name : name
    const found = this.exports.find(entry => entry.name === wanted)
    return found !== undefined && mayOpen(found, client) ? { found: 'yes', export: found } : { found: 'no' }
  }
}

function mayOpen(entry: MemoryExport, client: NbdClient): boolean {
  return entry.clients === undefined || (client.identity !== null && entry.clients.includes(client.identity))
}

export interface ServedMemory extends AsyncDisposable {
  readonly server: NbdServer
  readonly exports: MemoryExports
  readonly volume: MemoryVolume
  readonly port: number
  /** `nbd://HOST:PORT` */
  readonly uri: string
}

/** A server with one export, `disk`, on a free port of the loopback address. */
export async function serveMemory(
  volumeOptions: MemoryVolumeOptions = {},
  serverOptions: Partial<NbdServerOptions> = {},
): Promise<ServedMemory> {
  const exports = new MemoryExports()
  const volume = exports.add(volumeOptions)
  const server = new NbdServer({ exports, ...serverOptions })
  const address = await server.listen('127.0.0.1', 0)
  const port = Number(address.slice(address.lastIndexOf(':') + 1))
  return {
    server,
    exports,
    volume,
    port,
    uri: `nbd://${address}`,
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
