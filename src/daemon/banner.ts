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
  /** IQNs of targets that ask who comes. */
  readonly guarded: ReadonlySet<string>
}

/** The rest is what `volume list` is for. */
const VOLUMES_SHOWN_MAX = 10

/** What `dev` and `serve` say once everything is up: how to attach, ready to paste. */
export function bannerText(served: Served): string {
  const { version, data, portals, nbd, apiUrl, volumes } = served
  const more = volumes.length - VOLUMES_SHOWN_MAX
  const lines = [
    `Holdfast ${version} serves ${data}`,
    '',
    ...portals.map(portal => `  iSCSI    ${portal}`),
    ...nbd.map(listener => `  NBD      ${listener}`),
    `  API      ${apiUrl}`,
    `  try it   ${apiUrl}/docs`,
    `  metrics  ${apiUrl}/metrics`,
    ...volumes
      .slice(0, VOLUMES_SHOWN_MAX)
      .map(volume => `  volume   ${volume.name}, ${formatSize(volume.sizeBytes)}`),
    ...(more > 0 ? [`           and ${more} more: holdfast volume list${apiOption(served)}`] : []),
    '',
    ...whatNext(served),
    '',
    'Ctrl-C stops it cleanly.',
  ]
  return `${lines.join('\n')}\n`
}

function apiOption({ apiUrl, defaultApiUrl }: Served): string {
  return apiUrl === defaultApiUrl ? '' : ` --api ${apiUrl}`
}

function whatNext(served: Served): string[] {
  const withTarget = served.volumes.filter(({ targets }) => targets.length > 0)
  for (const volume of withTarget) {
    const open = volume.targets.find(({ iqn }) => !served.guarded.has(iqn))
    if (open !== undefined) return howToAttach(served.portals[0]!, volume, open)
  }
  const api = apiOption(served)
  const [guarded] = withTarget
  return guarded === undefined
    ? ['Make a volume, in another shell:', `  holdfast volume create disk1 10GiB${api}`]
    : [`Who may attach '${guarded.name}':`, `  holdfast target show ${guarded.targets[0]!.iqn}${api}`]
}

function howToAttach(
  portal: string,
  volume: VolumeShown,
  { iqn, lun }: VolumeShown['targets'][number],
): string[] {
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
