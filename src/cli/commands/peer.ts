import type { Command } from 'commander'
import { segment } from '../api-client.ts'
import { addClientOptions, type CommandContext, contextOf } from '../context.ts'
import { type Column, formatDetails, formatTable } from '../output.ts'
import type { Terminal } from '../terminal.ts'
import { type DaemonStatus, formatShare, type PeerInfo, resyncText } from './shown.ts'

const COLUMNS: readonly Column<PeerInfo>[] = [
  { title: 'PEER', value: peer => peer.id },
  { title: 'NUMBER', align: 'right', value: peer => peer.number },
  { title: 'STATE', value: peer => peer.state },
  { title: 'ADDRESS', value: peer => peer.peerAddress ?? '-' },
  { title: 'USED', value: peer => formatShare(peer.usedBytes, peer.capacityBytes) },
  { title: 'RANGES', align: 'right', value: peer => peer.ranges },
  { title: 'LAST SEEN', value: lastSeen },
  { title: 'RESYNC', value: peer => resyncText(peer.resync) },
  { title: 'LABELS', value: labels },
  { title: 'PORTALS', value: peer => peer.addresses.join(',') || '-' },
]

export function addPeerCommands(program: Command, terminal: Terminal): void {
  const peer = addClientOptions(program.command('peer').description('daemons with a brick'))
  const verb = (usage: string, description: string) =>
    addClientOptions(peer.command(usage).description(description))

  verb('list', 'all peers, and whether the cluster is balanced').action(async (_flags, command: Command) => {
    const context = contextOf(command, terminal)
    const peers = await context.client.get<PeerInfo[]>('peers')
    const { cluster } = await context.client.get<DaemonStatus>('status')
    context.print(
      peers,
      () => `${formatTable(COLUMNS, peers)}\n${balance(cluster)}\n${stuckText(peers, cluster)}`,
    )
  })

  verb('show <peer>', 'one peer').action(async (id: string, _flags, command: Command) => {
    const context = contextOf(command, terminal)
    printPeer(context, await context.client.get<PeerInfo>(`peers/${segment(id)}`))
  })

  verb('drain <peer>', 'move everything away from a peer; nothing new is placed on it').action(
    async (id: string, _flags, command: Command) => {
      const context = contextOf(command, terminal)
      printPeer(context, await context.client.post<PeerInfo>(`peers/${segment(id)}/drain`))
    },
  )

  verb('undrain <peer>', 'let a peer take part again').action(
    async (id: string, _flags, command: Command) => {
      const context = contextOf(command, terminal)
      printPeer(context, await context.client.delete<PeerInfo>(`peers/${segment(id)}/drain`))
    },
  )

  verb('remove <peer>', 'forget a peer that is down and drained')
    .option('--force', 'also when it holds data: it is lost, and made anew from the other replicas')
    .action(async (id: string, flags: { force?: boolean }, command: Command) => {
      const context = contextOf(command, terminal)
      await context.client.delete(`peers/${segment(id)}`, { force: flags.force })
      context.print({ removed: id }, () => `peer '${id}' removed\n`)
    })
}

/** One line for `peer list` and `status`. */
export function balance({ balanced, rangesToMove }: DaemonStatus['cluster']): string {
  return balanced ? 'balanced' : `${rangesToMove} range${rangesToMove === 1 ? '' : 's'} of 4GiB to move`
}

/** A peer is being emptied and nothing moves: what stays has no other place. */
function stuckText(peers: readonly PeerInfo[], { balanced }: DaemonStatus['cluster']): string {
  const stuck = peers.filter(({ state, ranges }) => balanced && state === 'draining' && ranges > 0)
  return stuck
    .map(({ id }) => `no other peer can take what ${id} holds: add one, or lower --replicas of its volumes\n`)
    .join('')
}

function printPeer(context: CommandContext, peer: PeerInfo): void {
  context.print(peer, () =>
    formatDetails([
      ['peer', peer.id],
      ['number', String(peer.number)],
      ['state', peer.state],
      ['address', peer.peerAddress ?? '-'],
      ['brick', peer.brick ?? '-'],
      ['used', formatShare(peer.usedBytes, peer.capacityBytes)],
      ['ranges', String(peer.ranges)],
      ['resync', resyncText(peer.resync)],
      ['since', peer.startedAt ?? '-'],
      ['last seen', lastSeen(peer)],
      ['labels', labels(peer)],
      ['portals', peer.addresses],
    ]),
  )
}

function lastSeen({ state, lastSeenAt }: PeerInfo): string {
  return state === 'down' ? (lastSeenAt ?? '-') : 'now'
}

function labels(peer: PeerInfo): string {
  return (
    Object.entries(peer.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',') || '-'
  )
}
