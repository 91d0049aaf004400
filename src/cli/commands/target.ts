import type { Command } from 'commander'
import { segment } from '../api-client.ts'
import { addClientOptions, type CommandContext, contextOf } from '../context.ts'
import { type Column, formatDetails, formatTable } from '../output.ts'
import type { Terminal } from '../terminal.ts'
import { parseCount } from './arguments.ts'
import { addChapOptions, type ChapFlags, readChap } from './chap-options.ts'
import type { ChapShown, TargetShown } from './shown.ts'

const TARGET = 'TARGET is an IQN, or what follows the colon of ours'

const COLUMNS: readonly Column<TargetShown>[] = [
  { title: 'TARGET', value: target => target.iqn },
  {
    title: 'LUNS',
    value: target => target.luns.map(({ lun, volume }) => `${lun}=${volume}`).join(',') || '-',
  },
  { title: 'ACL', value: target => (target.openToAll ? 'open to all' : initiatorCount(target.acl.length)) },
  { title: 'CHAP', value: chapOf },
]

export function addTargetCommands(program: Command, terminal: Terminal): void {
  const target = addClientOptions(program.command('target').description(`iSCSI targets; ${TARGET}`))

  addClientOptions(target.command('list').description('all targets')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      const targets = await context.client.get<TargetShown[]>('targets')
      context.print(targets, () => formatTable(COLUMNS, targets))
    },
  )
  addClientOptions(target.command('show <target>').description('one target')).action(
    async (name: string, _flags, command: Command) => {
      const context = contextOf(command, terminal)
      printTarget(context, await context.client.get<TargetShown>(path(name)))
    },
  )
  addClientOptions(target.command('create <target>').description('make a target without LUNs')).action(
    async (name: string, _flags, command: Command) => {
      const context = contextOf(command, terminal)
      printTarget(context, await context.client.post<TargetShown>('targets', { target: name }))
    },
  )
  addClientOptions(
    target
      .command('delete <target>')
      .description('delete a target; its volumes stay')
      .option('--force', 'also when sessions use it; they are ended'),
  ).action(async (name: string, flags: { force?: boolean }, command: Command) => {
    const context = contextOf(command, terminal)
    await context.client.delete(path(name), { force: flags.force })
    context.print({ deleted: name }, () => `target '${name}' deleted\n`)
  })

  addLunCommands(target, terminal)
  addAclCommands(target, terminal)
  addChapCommands(target, terminal)
}

function addLunCommands(target: Command, terminal: Terminal): void {
  const lun = addClientOptions(target.command('lun').description('the volumes of a target'))
  addClientOptions(
    lun
      .command('add')
      .argument('<target>')
      .argument('<lun>', 'number', parseCount)
      .argument('<volume>')
      .description('serve a volume as a LUN')
      .option('--read-only', 'refuse writes through this LUN'),
  ).action(
    async (name: string, number: number, volume: string, flags: { readOnly?: boolean }, command: Command) => {
      const context = contextOf(command, terminal)
      const body = { volume, readOnly: flags.readOnly === true }
      printTarget(context, await context.client.put<TargetShown>(`${path(name)}/luns/${number}`, body))
    },
  )
  addClientOptions(
    lun
      .command('remove')
      .argument('<target>')
      .argument('<lun>', 'number', parseCount)
      .description('stop serving a LUN; its volume stays')
      .option('--force', 'also when sessions use the target'),
  ).action(async (name: string, number: number, flags: { force?: boolean }, command: Command) => {
    const context = contextOf(command, terminal)
    const query = { force: flags.force }
    printTarget(context, await context.client.delete<TargetShown>(`${path(name)}/luns/${number}`, query))
  })
}

function addAclCommands(target: Command, terminal: Terminal): void {
  const acl = addClientOptions(
    target.command('acl').description('which initiators may log in; open to all before the first entry'),
  )
  addClientOptions(
    acl
      .command('add <target> <iqn>')
      .description('let an initiator in; the word all opens the target to everybody again'),
  ).action(async (name: string, initiator: string, _flags, command: Command) => {
    const context = contextOf(command, terminal)
    printTarget(context, await context.client.put<TargetShown>(`${path(name)}/acl/${segment(initiator)}`))
  })
  addClientOptions(
    acl.command('remove <target> <iqn>').description('shut an initiator out and end its sessions'),
  ).action(async (name: string, initiator: string, _flags, command: Command) => {
    const context = contextOf(command, terminal)
    printTarget(context, await context.client.delete<TargetShown>(`${path(name)}/acl/${segment(initiator)}`))
  })
}

function addChapCommands(target: Command, terminal: Terminal): void {
  const chap = addClientOptions(target.command('chap').description('authentication at login'))
  addClientOptions(
    addChapOptions(
      chap
        .command('set <target>')
        .description('demand CHAP')
        .option('--initiator <iqn>', 'only of this initiator'),
    ),
  ).action(async (name: string, flags: ChapFlags & { initiator?: string }, command: Command) => {
    const context = contextOf(command, terminal)
    const body = { ...(await readChap(flags, terminal)), initiator: flags.initiator }
    printTarget(context, await context.client.put<TargetShown>(`${path(name)}/chap`, body))
  })
  addClientOptions(
    chap
      .command('clear <target>')
      .description('demand no CHAP any more')
      .option('--initiator <iqn>', 'only of this initiator'),
  ).action(async (name: string, flags: { initiator?: string }, command: Command) => {
    const context = contextOf(command, terminal)
    const query = { initiator: flags.initiator }
    printTarget(context, await context.client.delete<TargetShown>(`${path(name)}/chap`, query))
  })
}

function path(name: string): string {
  return `targets/${segment(name)}`
}

function printTarget(context: CommandContext, target: TargetShown): void {
  const ofInitiators = Object.entries(target.chapByInitiator).map(
    ([iqn, chap]) => `${iqn}: ${chapText(chap)}`,
  )
  context.print(target, () =>
    formatDetails([
      ['target', target.iqn],
      [
        'LUNs',
        target.luns.map(({ lun, volume, readOnly }) => `${lun} ${volume}${readOnly ? ' read-only' : ''}`),
      ],
      ['ACL', target.openToAll ? 'open to all' : target.acl.length === 0 ? 'nobody' : target.acl],
      ['CHAP', [chapText(target.chap), ...ofInitiators]],
      ['made', target.createdAt],
    ]),
  )
}

function initiatorCount(count: number): string {
  if (count === 0) return 'nobody'
  return `${count} initiator${count === 1 ? '' : 's'}`
}

/** In one cell: that of the target, and for how many initiators there is another. */
function chapOf({ chap, chapByInitiator }: TargetShown): string {
  const own = Object.keys(chapByInitiator).length
  if (own === 0) return chapText(chap)
  return `${chap === null ? '' : `${chapText(chap)}, `}of ${initiatorCount(own)}`
}

function chapText(chap: ChapShown | null): string {
  if (chap === null) return 'none'
  return chap.mutualUser === null ? chap.user : `${chap.user}, mutual ${chap.mutualUser}`
}
