import { HoldfastError } from '../errors/holdfast-error.ts'
import { formatSize } from '../lib/sizes.ts'
import type { ExportDescription, ExportDirectory, ExportLookup, NbdClient } from '../nbd/export-directory.ts'
import type { Catalogue } from './catalogue.ts'
import type { VolumeHead } from './layout.ts'
import { effectiveAccess, type NbdAccess, permitsNbd, permitsNbdResize } from './nbd-access.ts'
import type { Serving } from './serving.ts'
import { sizeServed } from './size-served.ts'

/** Durable in the metadata when it resolves; rejects as Control.resizeVolume does. */
export type ResizeVolume = (name: string, sizeBytes: number) => Promise<void>

/** Answers NBD clients from the catalogue and from what is open here. An export has its volume's name. */
export class CatalogueExports implements ExportDirectory {
  readonly #catalogue: Catalogue
  readonly #serving: Serving
  readonly #defaultExport: string | null
  readonly #resize: ResizeVolume | null

  /** `resize` is null where no NBD client may change a size, whatever a volume says. */
  constructor(
    catalogue: Catalogue,
    serving: Serving,
    defaultExport: string | null,
    resize: ResizeVolume | null,
  ) {
    this.#catalogue = catalogue
    this.#serving = serving
    this.#defaultExport = defaultExport
    this.#resize = resize
  }

  list(client: NbdClient): readonly ExportDescription[] {
    const { model } = this.#catalogue
    return model.volumeNames.flatMap(name => {
      const head = model.volume(name)
      if (head?.state !== 'ready' || !permitsNbd(this.accessTo(name, head), client.identity)) return []
      return { name, description: describe(head) }
    })
  }

  find(wanted: string, client: NbdClient): ExportLookup {
    const { model, complete } = this.#catalogue
    const name = wanted === '' ? this.#defaultExport : wanted
    const head = name === null ? null : model.volume(name)
    if (name === null || head?.state !== 'ready') return { found: complete ? 'no' : 'unavailable' }
    if (!permitsNbd(this.accessTo(name, head), client.identity)) return { found: 'no' }
    const volume = this.#serving.volume(name)
    if (volume === null) return { found: 'unavailable' }
    const resize = this.#mayResize(name, client) ? (to: number) => this.#resizeFor(client, name, to) : null
    return { found: 'yes', export: { name, description: describe(head), volume, readOnly: false, resize } }
  }

  #mayResize(name: string, { identity }: NbdClient): boolean {
    const head = this.#catalogue.model.volume(name)
    if (this.#resize === null || head?.state !== 'ready') return false
    return permitsNbdResize(this.accessTo(name, head), identity)
  }

  /** Rights may have changed since the export was opened. */
  async #resizeFor(client: NbdClient, name: string, sizeBytes: number): Promise<void> {
    if (!this.#mayResize(name, client)) throw new HoldfastError('ERR_RESIZE_FORBIDDEN')
    await this.#resize!(name, sizeBytes)
    await this.#serving.settled()
    await sizeServed(this.#serving.volume(name), sizeBytes)
  }

  onChange(listener: (names: ReadonlySet<string> | null) => void): () => void {
    return this.#catalogue.onChange(({ volumes, targets }) => {
      // Whose LUN a volume was is not told.
      if (targets.size > 0) listener(null)
      else if (volumes.size > 0) listener(volumes)
    })
  }

  /** What holds for a volume now. */
  accessTo(name: string, head: VolumeHead): NbdAccess {
    const { model } = this.#catalogue
    const targets = model.targetsOf(name).flatMap(iqn => model.target(iqn) ?? [])
    return effectiveAccess(head.nbd, targets)
  }
}

function describe(head: VolumeHead): string {
  return `${formatSize(head.sizeBytes)}${head.readOnly ? ', read-only' : ''}`
}
