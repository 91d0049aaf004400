import type { Volume } from '../volume/volume.ts'

/** Who is at the other end of a connection, as far as it has been proven. */
export interface NbdClient {
  /** The connection is encrypted. */
  readonly tls: boolean
  /** Name in a verified client certificate, or the PSK's; null when nothing was proven. */
  readonly identity: string | null
  readonly remoteAddress: string
}

export interface ExportDescription {
  readonly name: string
  /** One line for a human being. */
  readonly description: string
}

export interface NbdExport extends ExportDescription {
  readonly volume: Volume
  /** Read-only here, whatever the volume is. */
  readonly readOnly: boolean
  /**
   * For a client that may change the size; null for all others. Resolves when requests up to the new size are
   * valid; rejects with a HoldfastError whose cause has an NBD errno.
   */
  readonly resize: ((sizeBytes: number) => Promise<void>) | null
}

export type ExportLookup =
  | { readonly found: 'yes'; readonly export: NbdExport }
  /** There is none, or this client may not know of it. */
  | { readonly found: 'no' }
  /** It exists, or may exist, but cannot be served right now. */
  | { readonly found: 'unavailable' }

/** What the NBD server asks control. Answers come from memory: no waiting, no I/O. */
export interface ExportDirectory {
  /** Only what this client may open. */
  list(client: NbdClient): readonly ExportDescription[]
  /** `name` as the client sent it; the empty one means the default export. */
  find(name: string, client: NbdClient): ExportLookup
  /**
   * `listener` is called when answers may have changed, with the names that they are about, or null for any; the answer
   * takes it off again.
   */
  onChange(listener: (names: ReadonlySet<string> | null) => void): () => void
}
