import type { VolumeShown } from '../control/control.ts'
import { formatSize } from '../lib/sizes.ts'

/** What is up: nothing else is shown. */
export interface Served {
  readonly version: string
  readonly data: string
  /** iSCSI portals as a host dials them. */
  readonly portals: readonly string[]
  /** NBD listeners, as a client dials them. */
  readonly nbd: readonly string[]
  readonly apiUrl: string
  readonly defaultApiUrl: string
  readonly volumes: readonly VolumeShown[]
}

/** What `dev` and `serve` say once everything is up: how to attach, ready to paste. */
export function bannerText(served: Served): string {
  const { version, data, portals, nbd, apiUrl, volumes } = served
  const shown = volumes.find(volume => volume.targets.length > 0) ?? null
  const lines = [
    `Holdfast ${version} serves ${data}`,
    '',
    ...portals.map(portal => `  iSCSI    ${portal}`),
    ...nbd.map(listener => `  NBD      ${listener}`),
    `  API      ${apiUrl}`,
    `  try it   ${apiUrl}/docs`,
    `  metrics  ${apiUrl}/metrics`,
    ...volumes.map(volume => `  volume   ${volume.name}, ${formatSize(volume.sizeBytes)}`),
    '',
    ...(shown === null ? howToCreate(served) : howToAttach(portals[0]!, shown)),
    '',
    'Ctrl-C stops it cleanly.',
  ]
  return `${lines.join('\n')}\n`
}

function howToCreate({ apiUrl, defaultApiUrl }: Served): string[] {
  const api = apiUrl === defaultApiUrl ? '' : ` --api ${apiUrl}`
  return ['Make a volume, in another shell:', `  holdfast volume create disk1 10GiB${api}`]
}

function howToAttach(portal: string, volume: VolumeShown): string[] {
  const { iqn, lun } = volume.targets[0]!
  const uri = `iscsi://${portal}/${iqn}/${lun}`
  return [
    `Attach '${volume.name}' to this host with the Linux initiator:`,
    `  sudo iscsiadm -m discovery -t sendtargets -p ${portal}`,
    `  sudo iscsiadm -m node -T ${iqn} -p ${portal} --login`,
    '',
    'or use it from user space:',
    `  iscsi-ls -s iscsi://${portal}`,
    `  qemu-img convert -n -f raw -O raw IMAGE ${uri}`,
    `  qemu-io -f raw -c 'read -v 0 512' ${uri}`,
    ...volume.uris.filter(other => other.startsWith('nbd')).map(other => `  nbdinfo '${other}'`),
  ]
}
