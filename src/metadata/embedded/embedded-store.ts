import type { MetadataStore } from '../metadata-store.ts'

export interface EmbeddedStoreOptions {
  /** Made if it is not there. One daemon at a time. */
  readonly directory: string
}

/** Opens the metadata of a single machine. Rejects with ERR_METADATA_FORMAT on a newer or foreign format. */
export declare function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<MetadataStore>
