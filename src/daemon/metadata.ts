import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { keys } from '../control/layout.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { EtcdStoreOptions } from '../metadata/etcd/etcd-store.ts'
import { GroupedStore } from '../metadata/grouped-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { SettledStore } from '../metadata/settled-store.ts'
import { loadAuthority, loadKeyPairIfThere } from './tls-files.ts'

export interface OpenedMetadata {
  /** As it is: a transaction that rejects may have taken effect. For set changes, which settle that themselves. */
  readonly store: MetadataStore
  /** For control: each transaction took effect or did not. */
  readonly settled: MetadataStore
  /** How to reach etcd, for the heartbeat's own connection; null when the metadata is in this process. */
  readonly etcd: EtcdStoreOptions | null
}

/** Where a daemon without etcd keeps its metadata. */
export function embeddedMetadata({ data }: Config): string {
  return join(data, 'metadata')
}

/** In etcd when URLs of it are configured, else in DIR/metadata. No other process attempts changes as `attempter`. */
export async function openMetadata(config: Config, attempter: string): Promise<OpenedMetadata> {
  if (config.etcd.urls.length === 0) {
    const store = await openEmbeddedStore({ directory: embeddedMetadata(config) })
    return { store, settled: store, etcd: null }
  }
  // Its client is 10 MB of memory, for those who use it.
  const { openEtcdStore } = await import('../metadata/etcd/etcd-store.ts')
  const etcd = await etcdOptions(config)
  const store = new GroupedStore(openEtcdStore(etcd))
  const attemptKey = keys.attempt(attempter)
  return { store, settled: new SettledStore({ store, attemptKey, processId: randomUUID() }), etcd }
}

/** Rejects with ERR_CONFIG_INVALID for a certificate that cannot be read. */
async function etcdOptions({ etcd }: Config): Promise<EtcdStoreOptions> {
  const { urls, tls, user, password, prefix } = etcd
  return {
    endpoints: urls,
    keyPrefix: prefix,
    tls: tls === null ? null : await readEtcdTls(tls),
    auth: user === null || password === null ? null : { user, password },
  }
}

async function readEtcdTls(directory: string): Promise<NonNullable<EtcdStoreOptions['tls']>> {
  const ca = await loadAuthority('etcd.tls', directory)
  // Only etcd knows whether it asks for certificates: no files, none to show.
  return { ca, ...(await loadKeyPairIfThere('etcd.tls', directory)) }
}
