import { type Command, InvalidArgumentError } from 'commander'
import { formatNbdAccess, parseNbdAccess } from '../../control/nbd-access.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { formatSize, parseSize } from '../../lib/sizes.ts'
import { segment } from '../api-client.ts'
import { addClientOptions, type CommandContext, contextOf } from '../context.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { followJob } from '../follow-job.ts'
import { type Column, formatDetails, formatTable } from '../output.ts'
import type { Terminal } from '../terminal.ts'
import { gather, parsePositiveCount } from './arguments.ts'
import { addLimitOptions, type LimitFlags, limitsOf, limitText } from './limit-options.ts'
import { formatShare, type Job, resyncText, type VolumeShown, yesNo } from './shown.ts'
import type { ManifestFlags } from './volume-manifest.ts'

const COLUMNS: readonly Column<VolumeShown>[] = [
  { title: 'NAME', value: volume => volume.name },
  { title: 'SIZE', align: 'right', value: volume => formatSize(volume.sizeBytes) },
  { title: 'USED', align: 'right', value: volume => formatSize(volume.usedBytes) },
  { title: 'BLOCK', align: 'right', value: volume => volume.blockSizeBytes },
  { title: 'REPLICAS', align: 'right', value: volume => volume.replicas },
  { title: 'SESSIONS', align: 'right', value: volume => volume.sessions },
  { title: 'ACCESS', value: volume => (volume.readOnly ? 'read-only' : 'read-write') },
  { title: 'OWNER', value: volume => volume.replication.owner ?? '-' },
  {
    title: 'STATE',
    value: volume => (volume.state === 'deleting' ? 'deleting' : volume.replication.health),
  },
]

interface CreateFlags extends LimitFlags {
  readonly replicas?: number
  readonly minReplicas?: number
  readonly blockSize?: 512 | 4096
  readonly readOnly?: boolean
  readonly removable?: boolean
  readonly allowDegraded?: boolean
}

interface SetFlags extends LimitFlags {
  readonly readOnly?: boolean
  readonly nbd?: string
  readonly replicas?: number
  readonly minReplicas?: number
  readonly allowDegraded?: boolean
}

/** Says which peers it could be. */
async function nobodyNamed(context: CommandContext, name: string): Promise<CliError> {
  const { replication } = await context.client.get<VolumeShown>(`volumes/${segment(name)}`)
  const away = replication.members.filter(({ state }) => state === 'away').map(({ peer }) => peer)
  const says =
    away.length === 0
      ? `every peer that has a replica of volume '${name}' is up: there is nothing to recover from`
      : `name the peers whose bricks will not come back as they are: holdfast volume recover ${name} ${away.map(peer => `--off ${peer}`).join(' ')}`
  return new CliError(ExitCode.usage, says)
}

function laterMinimum({ minReplicasWanted }: VolumeShown): string {
  return minReplicasWanted === null ? '' : `, ${minReplicasWanted} once so many are in sync`
}

function degradedBy(volume: VolumeShown): string {
  const later = laterMinimum(volume)
  return later === '' ? '' : `  ${volume.minReplicas} to acknowledge a write${later}\n`
}

export function addVolumeCommands(program: Command, terminal: Terminal): void {
  const volume = addClientOptions(program.command('volume').description('virtual disks'))

  addClientOptions(
    addLimitOptions(
      volume
        .command('create <name> <size>')
        .description('make a volume, and a target of its own with it as LUN 0')
        .option('--replicas <count>', 'copies to keep', parsePositiveCount)
        .option('--min-replicas <count>', 'copies that an acknowledged write needs', parsePositiveCount)
        .option('--block-size <bytes>', 'logical block size: 512 or 4096 (512)', parseBlockSize)
        .option('--read-only', 'refuse writes')
        .option('--removable', 'let initiators eject and load it')
        .option('--allow-degraded', 'also with fewer failure domains than replicas'),
    ),
  ).action(async (name: string, size: string, flags: CreateFlags, command: Command) => {
    const context = contextOf(command, terminal)
    const { replicas, minReplicas, readOnly, removable, allowDegraded, blockSize } = flags
    const wanted = { replicas, minReplicas, readOnly, removable, allowDegraded, blockSizeBytes: blockSize }
    const made = await context.client.post<VolumeShown>('volumes', {
      name,
      sizeBytes: parseSize(size),
      ...wanted,
      limits: limitsOf(flags),
    })
    context.print(
      made,
      () =>
        `volume '${made.name}' made, ${formatSize(made.sizeBytes)}\n${degradedBy(made)}${made.uris.map(uri => `  ${uri}\n`).join('')}`,
    )
  })

  addClientOptions(volume.command('list').description('all volumes')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      const volumes = await context.client.get<VolumeShown[]>('volumes')
      context.print(volumes, () => formatTable(COLUMNS, volumes))
    },
  )

  addClientOptions(volume.command('show <name>').description('one volume')).action(
    async (name: string, _flags, command: Command) => {
      const context = contextOf(command, terminal)
      printVolume(context, await context.client.get<VolumeShown>(`volumes/${segment(name)}`))
    },
  )

  addClientOptions(
    addLimitOptions(
      volume
        .command('set <name>')
        .description('change a volume')
        .option('--read-only <on|off>', 'refuse writes', parseSwitch)
        .option(
          '--replicas <count>',
          'copies to keep; made or freed while the volume is used',
          parsePositiveCount,
        )
        .option('--min-replicas <count>', 'copies that an acknowledged write needs', parsePositiveCount)
        .option('--allow-degraded', 'also with fewer failure domains than replicas')
        .option(
          '--nbd <off|open|tls[:IDENTITY,…]>',
          'who may use it over NBD; +resize: and grow it',
          parseNbd,
        ),
    ),
  ).action(async (name: string, flags: SetFlags, command: Command) => {
    const { readOnly, nbd, replicas, minReplicas, allowDegraded } = flags
    const body = { readOnly, nbd, replicas, minReplicas, limits: limitsOf(flags) }
    if (Object.values(body).every(value => value === undefined))
      throw new CliError(ExitCode.usage, 'nothing to change: give --read-only, --replicas, --nbd or a limit')
    const context = contextOf(command, terminal)
    const path = `volumes/${segment(name)}`
    printVolume(context, await context.client.patch<VolumeShown>(path, { ...body, allowDegraded }))
  })

  addClientOptions(
    volume.command('resize <name> <size>').description('make a volume larger while it is used'),
  ).action(async (name: string, size: string, _flags, command: Command) => {
    const context = contextOf(command, terminal)
    const path = `volumes/${segment(name)}/resize`
    const resized = await context.client.post<VolumeShown>(path, { sizeBytes: parseSize(size) })
    context.print(resized, () => `volume '${resized.name}' has ${formatSize(resized.sizeBytes)} now\n`)
  })

  addClientOptions(
    volume
      .command('recover <name>')
      .description('go on without peers that are off; what only they have is lost')
      .option('--off <peer>', 'a peer whose brick will not come back as it is (repeatable)', gather),
  ).action(async (name: string, { off = [] }: { off?: string[] }, command: Command) => {
    const context = contextOf(command, terminal)
    const path = `volumes/${segment(name)}/recover`
    if (off.length === 0) throw await nobodyNamed(context, name)
    printVolume(context, await context.client.post<VolumeShown>(path, { off }))
  })

  addClientOptions(
    volume
      .command('delete <name>')
      .description('delete a volume and its data, and wait until its space is free')
      .option('--force', 'also when sessions use it; they are ended')
      .option('--no-wait', 'return while the space is being freed'),
  ).action(async (name: string, flags: { force?: boolean; wait: boolean }, command: Command) => {
    const context = contextOf(command, terminal)
    const started = await context.client.delete<Job>(`volumes/${segment(name)}`, { force: flags.force })
    const job = flags.wait ? await followJob(context.client, terminal, started, `deleting ${name}`) : started
    context.print(job, () =>
      flags.wait ? `volume '${name}' deleted\n` : `volume '${name}' is being deleted\n`,
    )
  })

  addTransferCommands(volume, terminal)
  addManifestCommand(volume, terminal)
}

function addManifestCommand(volume: Command, terminal: Terminal): void {
  addClientOptions(
    volume
      .command('manifest <name>')
      .description(
        'print a PersistentVolume, its claim, a CHAP Secret and a Pod for Kubernetes; lets the initiator that they name in, and from then on only initiators of the ACL',
      )
      .option('--initiator <iqn>', "name that kubelet logs in under (one of the volume's own)")
      .option('--namespace <name>', 'of the claim, the Secret and the Pod', 'default'),
  ).action(async (name: string, flags: ManifestFlags, command: Command) => {
    const { printManifest } = await import('./volume-manifest.ts')
    await printManifest(contextOf(command, terminal), name, flags)
  })
}

function addTransferCommands(volume: Command, terminal: Terminal): void {
  addClientOptions(
    volume
      .command('import <file> <name>')
      .description('fill a volume with a raw image, - for standard input; a missing volume is made')
      .option('--force', 'also when sessions use the volume'),
  ).action(async (file: string, name: string, flags: { force?: boolean }, command: Command) => {
    const { importVolume } = await import('./volume-import.ts')
    await importVolume(contextOf(command, terminal), file, name, flags.force === true)
  })

  addClientOptions(
    volume
      .command('export <name> <file>')
      .description('write a volume to a raw image, sparse where it has no data; - for standard output'),
  ).action(async (name: string, file: string, _flags, command: Command) => {
    const { exportVolume } = await import('./volume-export.ts')
    await exportVolume(contextOf(command, terminal), name, file)
  })
}

function printVolume(context: CommandContext, volume: VolumeShown): void {
  const targets = volume.targets.map(
    ({ iqn, lun, readOnly }) => `${iqn} LUN ${lun}${readOnly ? ' read-only' : ''}`,
  )
  context.print(volume, () =>
    formatDetails([
      ['name', volume.name],
      ['uuid', volume.uuid],
      ['size', formatSize(volume.sizeBytes)],
      ['used', formatShare(volume.usedBytes, volume.sizeBytes)],
      ['block size', String(volume.blockSizeBytes)],
      ['replicas', `${volume.replicas}, ${volume.minReplicas} to acknowledge${laterMinimum(volume)}`],
      ['read-only', yesNo(volume.readOnly)],
      ['removable', yesNo(volume.removable)],
      ['NBD', volume.nbd],
      ['limits', limitText(volume.limits)],
      ['NAA', volume.naa],
      ['state', volume.state === 'deleting' ? 'deleting' : volume.replication.health],
      ['owner', volume.replication.owner ?? '-'],
      ['epoch', `${volume.epoch}, sets ${volume.setVersion}, losses ${volume.replication.lossGeneration}`],
      ['members', volume.replication.members.map(memberText)],
      ['placement', volume.placement.map(placementText)],
      ['made', volume.createdAt],
      ['sessions', String(volume.sessions)],
      ['targets', targets],
      ['attach', volume.uris],
    ]),
  )
}

function memberText({
  peer,
  state,
  ranges,
  behindRanges,
  resync,
}: VolumeShown['replication']['members'][number]): string {
  const behind = behindRanges > 0 ? `, ${behindRanges} of them not up to date` : ''
  const copy = resync === null ? '' : `, ${resyncText(resync)}`
  return `${peer}: ${state}, ${ranges} range${ranges === 1 ? '' : 's'} of 4GiB${behind}${copy}`
}

function placementText({ firstRange, lastRange, peers, why }: VolumeShown['placement'][number]): string {
  const ranges = firstRange === lastRange ? `range ${firstRange}` : `ranges ${firstRange}-${lastRange}`
  return `${ranges} on ${peers.join(', ')}: ${why}`
}

function parseBlockSize(text: string): 512 | 4096 {
  if (text === '512') return 512
  if (text === '4096') return 4096
  throw new InvalidArgumentError('It is 512 or 4096.')
}

/** Checked here too, so that a slip is a usage error like that of any other option. */
function parseNbd(text: string): string {
  try {
    return formatNbdAccess(parseNbdAccess(text))
  } catch (error) {
    throw new InvalidArgumentError(error instanceof HoldfastError ? `${error.message}.` : String(error))
  }
}

function parseSwitch(text: string): boolean {
  if (text === 'on') return true
  if (text === 'off') return false
  throw new InvalidArgumentError('It is on or off.')
}
