import { stringify } from 'yaml'
import type { ConnectionProperties } from '../../control/connection-properties.ts'
import { segment } from '../api-client.ts'
import type { CommandContext } from '../context.ts'
import { kubernetesInitiator, kubernetesManifest } from '../kubernetes-manifest.ts'
import type { VolumeShown } from './shown.ts'

export interface ManifestFlags {
  readonly initiator?: string
  readonly namespace: string
}

/** `holdfast volume manifest`: lets the initiator in, so that what is printed works as it stands. */
export async function printManifest(
  context: CommandContext,
  name: string,
  flags: ManifestFlags,
): Promise<void> {
  const { client } = context
  const path = `volumes/${segment(name)}`
  const volume = await client.get<VolumeShown>(path)
  const initiator = flags.initiator ?? kubernetesInitiator(name)
  const connection = await client.post<ConnectionProperties>(`${path}/connections`, { initiator })
  const objects = kubernetesManifest({ volume, initiator, connection, namespace: flags.namespace })
  context.print({ apiVersion: 'v1', kind: 'List', items: objects }, () =>
    objects.map(object => stringify(object)).join('---\n'),
  )
}
