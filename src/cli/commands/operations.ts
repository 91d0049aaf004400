import type { Command } from 'commander'
import type { Finding } from '../../api/backend.ts'
import type { ClusterEvent } from '../../control/control.ts'
import { formatSize } from '../../lib/sizes.ts'
import { segment } from '../api-client.ts'
import { addClientOptions, contextOf } from '../context.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { type Column, formatDetails, formatTable } from '../output.ts'
import type { Terminal } from '../terminal.ts'
import { parsePositiveCount } from './arguments.ts'
import { addChapOptions, type ChapFlags, readChap } from './chap-options.ts'
import { balance } from './peer.ts'
import { type ClusterSession, type DaemonStatus, formatShare } from './shown.ts'

const SESSION_COLUMNS: readonly Column<ClusterSession>[] = [
  { title: 'ID', value: session => session.id },
  { title: 'INITIATOR', value: session => session.initiator },
  { title: 'TARGET', value: session => session.target ?? `(${session.kind})` },
  { title: 'FROM', value: session => session.remoteAddress },
  { title: 'PORTAL', value: session => session.portal },
  { title: 'READ', align: 'right', value: session => formatSize(session.readBytes) },
  { title: 'WRITTEN', align: 'right', value: session => formatSize(session.writtenBytes) },
  { title: 'IN FLIGHT', align: 'right', value: session => session.commandsInFlight },
  { title: 'DIGESTS', value: digests },
]
const EVENT_COLUMNS: readonly Column<ClusterEvent>[] = [
  { title: 'TIME', value: event => event.at },
  { title: 'KIND', value: event => event.kind },
  { title: 'SUBJECT', value: event => event.subject },
  { title: 'MESSAGE', value: event => event.message },
]
const FINDING_COLUMNS: readonly Column<Finding>[] = [
  { title: 'CHECK', value: finding => finding.check },
  { title: 'STATE', value: finding => finding.state },
  { title: 'FINDING', value: finding => finding.says },
]

export function addOperationCommands(program: Command, terminal: Terminal): void {
  addSessionCommands(program, terminal)
  addDiscoveryCommands(program, terminal)

  addClientOptions(program.command('status').description('how the daemon is')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      const status = await context.client.get<DaemonStatus>('status')
      context.print(status, () => statusText(status))
    },
  )
  addClientOptions(
    program
      .command('events')
      .description('what happened, newest first')
      .option('--limit <count>', 'how many at most (100)', parsePositiveCount),
  ).action(async (flags: { limit?: number }, command: Command) => {
    const context = contextOf(command, terminal)
    const events = await context.client.get<ClusterEvent[]>('events', { limit: flags.limit })
    context.print(events, () => formatTable(EVENT_COLUMNS, events))
  })
  addClientOptions(
    program.command('doctor').description('what is wrong or risky; exits 1 on a failure'),
  ).action(async (_flags, command: Command) => {
    const context = contextOf(command, terminal)
    const findings = await context.client.get<Finding[]>('doctor')
    context.print(findings, () => formatTable(FINDING_COLUMNS, findings))
    const failures = findings.filter(({ state }) => state === 'failure')
    if (failures.length > 0) {
      throw new CliError(ExitCode.refused, `${failures.map(({ check }) => check).join(', ')} failed`)
    }
  })
}

function addSessionCommands(program: Command, terminal: Terminal): void {
  const session = addClientOptions(program.command('session').description('sessions of clients'))
  addClientOptions(session.command('list').description('all sessions of the cluster')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      const sessions = await context.client.get<ClusterSession[]>('sessions')
      context.print(sessions, () => formatTable(SESSION_COLUMNS, sessions))
    },
  )
  addClientOptions(
    session.command('kick <id>').description('end a session; its initiator may come back'),
  ).action(async (id: string, _flags, command: Command) => {
    const context = contextOf(command, terminal)
    await context.client.delete(`sessions/${segment(id)}`)
    context.print({ kicked: id }, () => `session ${id} ended\n`)
  })
}

function addDiscoveryCommands(program: Command, terminal: Terminal): void {
  const discovery = addClientOptions(program.command('discovery').description('how initiators find targets'))
  const chap = addClientOptions(discovery.command('chap').description('authentication of discovery'))
  addClientOptions(addChapOptions(chap.command('set').description('demand CHAP of discovery'))).action(
    async (flags: ChapFlags, command: Command) => {
      const context = contextOf(command, terminal)
      await context.client.put('discovery/chap', await readChap(flags, terminal))
      context.print({ user: flags.user }, () => `discovery demands CHAP of '${flags.user}'\n`)
    },
  )
  addClientOptions(chap.command('clear').description('demand no CHAP of discovery')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      await context.client.delete('discovery/chap')
      context.print({}, () => 'discovery demands no CHAP\n')
    },
  )
}

function statusText(status: DaemonStatus): string {
  const { brick, cluster } = status
  const listeners = (all: DaemonStatus['portals']) =>
    all.map(({ address, advertised }) =>
      advertised === null ? address : `${address}, advertised as ${advertised}`,
    )
  return formatDetails([
    ['state', status.state],
    ['version', status.version],
    ['peer', status.peer],
    ['since', status.startedAt],
    ['iSCSI', listeners(status.portals)],
    ['NBD', listeners(status.nbd)],
    ['peers', `${cluster.peersUp} of ${cluster.peers} up`],
    ['volumes', volumesText(cluster.volumes)],
    ['placement', balance(cluster)],
    ['metadata', cluster.metadata],
    ['sessions here', String(status.sessions)],
    ['brick', brick.failure === null ? brick.state : `failed: ${brick.failure}`],
    ['used', formatShare(brick.usedBytes, brick.limitBytes)],
    ['dirty', formatShare(brick.dirtyBytes, brick.dirtyCapBytes)],
    ['memory', formatSize(status.residentBytes)],
  ])
}

function volumesText({ ok, degraded, waiting }: DaemonStatus['cluster']['volumes']): string {
  const parts = [`${ok} ok`]
  if (degraded > 0) parts.push(`${degraded} degraded: a replica is missing`)
  if (waiting > 0) parts.push(`${waiting} waiting: too few replicas to serve`)
  return parts.join(', ')
}

function digests(session: ClusterSession): string {
  const on = [session.headerDigest ? 'header' : '', session.dataDigest ? 'data' : ''].filter(
    text => text !== '',
  )
  return on.join(',') || '-'
}
